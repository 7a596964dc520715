"""Trained networks in one file each: their format, their cards, and those that ship with eojax.

Nothing here needs jax: a file is read, listed and unpacked in a moment.
"""
