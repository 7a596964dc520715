"""Trained runs from Python: what `import eojax` gives.

`eojax.library.opened.OpenedRun` is what `eojax.open` returns; the other modules hold what it is
made of: the check of arrays, scores of whole images and of pixels, samples and repairs.
"""
