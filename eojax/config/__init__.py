"""What a config holds, its checks, and the command line that changes it."""

from eojax.config.base import base_config as base_config
