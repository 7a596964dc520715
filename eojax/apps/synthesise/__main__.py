"""`python -m eojax.apps.synthesise`; see `eojax.apps.synthesise.command`."""

from eojax.apps.synthesise.command import main

main()
