"""`python -m eojax.studies.synthesis`; see `eojax.studies.synthesis.command`."""

from __future__ import annotations

from eojax.studies.synthesis.command import main

if __name__ == '__main__':
    main()
