"""`python -m eojax.apps.edit`; see `eojax.apps.edit.command`."""

from eojax.apps.edit.command import main

main()
