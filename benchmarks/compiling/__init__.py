"""Training programs compiled for accelerators that are not here, and what their text says."""
