"""`python -m eojax.studies.sweep`; see `eojax.studies.sweep.command`."""

from __future__ import annotations

from eojax.studies.sweep.command import main

if __name__ == '__main__':
    main()
