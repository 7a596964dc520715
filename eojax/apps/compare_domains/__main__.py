"""`python -m eojax.apps.compare_domains`; see `eojax.apps.compare_domains.command`."""

from eojax.apps.compare_domains.command import main

main()
