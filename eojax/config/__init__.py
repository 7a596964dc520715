"""Configs: their keys, their checks, and the command line that changes them."""

from eojax.config.base import base_config as base_config
