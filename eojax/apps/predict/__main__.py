"""`python -m eojax.apps.predict`; see `eojax.apps.predict.command`."""

from eojax.apps.predict.command import main

main()
