"""`python -m eojax.apps.transfer_study`; see `eojax.studies.transfer_study.command`."""

from __future__ import annotations

from eojax.studies.transfer_study.command import main

if __name__ == '__main__':
    main()
