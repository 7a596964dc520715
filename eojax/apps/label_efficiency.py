"""`python -m eojax.apps.label_efficiency`; see `eojax.studies.label_efficiency.command`."""

from __future__ import annotations

from eojax.studies.label_efficiency.command import main

if __name__ == '__main__':
    main()
