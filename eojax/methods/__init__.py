"""The learning methods, by name."""

from __future__ import annotations

from eojax.methods import (
    berundanet,
    berundanet_segmentation,
    fine_tune,
    fixmatch,
    fixmatch_jem,
    fixmatch_segmentation,
    fixmatch_then_jem,
    image_synthesis,
    jem,
    sar_only,
    seg_jem,
    segmentation,
    supervised,
    swd_transfer,
    vae,
    w_net,
)
from eojax.methods.method import Recipe

METHODS: dict[str, Recipe] = {
    'berundanet': berundanet.RECIPE,
    'berundanet_segmentation': berundanet_segmentation.RECIPE,
    'fine_tune': fine_tune.RECIPE,
    'fixmatch': fixmatch.RECIPE,
    'fixmatch_jem': fixmatch_jem.RECIPE,
    'fixmatch_segmentation': fixmatch_segmentation.RECIPE,
    'fixmatch_then_jem': fixmatch_then_jem.RECIPE,
    'image_synthesis': image_synthesis.RECIPE,
    'jem': jem.RECIPE,
    'sar_only': sar_only.RECIPE,
    'seg_jem': seg_jem.RECIPE,
    'segmentation': segmentation.RECIPE,
    'supervised': supervised.RECIPE,
    'swd_transfer': swd_transfer.RECIPE,
    'vae': vae.RECIPE,
    'w_net': w_net.RECIPE,
}
