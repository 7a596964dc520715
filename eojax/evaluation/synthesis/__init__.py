"""Evaluation of methods that can `synthesise`: images made of land cover and rasters."""
