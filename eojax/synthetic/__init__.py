"""Procedural landscapes: scenes of physical layers, and views rendered from them."""

from eojax.synthetic.scene import PIXEL_SIZE, Conditions, Material, Scene
from eojax.synthetic.views.render_rgb import render_rgb

__all__ = ['PIXEL_SIZE', 'Conditions', 'Material', 'Scene', 'render_rgb']
