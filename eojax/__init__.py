"""eojax: generative, semi-supervised and cross-sensor learning for Earth observation."""

__version__ = '0.1.0'
