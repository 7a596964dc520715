"""eojax: generative, semi-supervised and cross-sensor learning for Earth observation."""

from eojax.interrupt import stop_at_once_while_importing

__version__ = '0.1.0'

stop_at_once_while_importing()
