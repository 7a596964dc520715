"""`python -m eojax.studies.segmentation`; see `eojax.studies.segmentation.command`."""

from __future__ import annotations

from eojax.studies.segmentation.command import main

if __name__ == '__main__':
    main()
