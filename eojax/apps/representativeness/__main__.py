"""`python -m eojax.apps.representativeness`; see `eojax.apps.representativeness.command`."""

from eojax.apps.representativeness.command import main

main()
