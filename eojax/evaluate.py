"""`python -m eojax.evaluate --workdir=RUN`; see `eojax.evaluation.evaluate`."""

from __future__ import annotations

from eojax.evaluation.command import main

if __name__ == '__main__':
    main()
