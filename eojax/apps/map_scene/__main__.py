"""`python -m eojax.apps.map_scene`; see `eojax.apps.map_scene.command`."""

from eojax.apps.map_scene.command import main

main()
