"""`python -m eojax.apps.report`; see `eojax.apps.report.command`."""

from eojax.apps.report.command import main

main()
