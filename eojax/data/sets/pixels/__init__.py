"""Data sets with a class for each pixel, read from files."""
