"""`python -m eojax.studies.papers`; see `eojax.studies.papers.command`."""

from __future__ import annotations

from eojax.studies.papers.command import main

if __name__ == '__main__':
    main()
