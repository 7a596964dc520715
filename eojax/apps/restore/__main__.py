"""`python -m eojax.apps.restore`; see `eojax.apps.restore.command`."""

from eojax.apps.restore.command import main

main()
