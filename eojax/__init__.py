"""Generative, semi-supervised and cross-sensor learning for Earth observation, in JAX.

A trained network in ten lines:

    import eojax

    run = eojax.open('runs/jem_eurosat_small')    # or an exported file, or the name of weights
    print(run)                                    # what it was trained on, and what it can do
    images = run.read('photos/')                  # [N, H, W, C], in the units of its data set
    run.predict(images).names                     # the class of each image
    run.probabilities(images)                     # [N, K]
    run.log_density(images)                       # [N], higher is more like the training images
    run.restore(images, clouds).mean              # where clouds [N, H, W] is True, filled
    run.sample(16, label='River')                 # new images of a class
    run.map_scene('S2.tif', out='map').summary    # hectares of each class; GeoTIFFs in map/

and one of your own:

    config = eojax.load_config('jem_eurosat_small', steps=2_000)
    run = eojax.train(config, 'runs/mine')        # goes on where it was stopped

What a user can mend is refused by an `eojax.UserError` of one line. `help(eojax.OpenedRun)` says
what an opened run does. The parts are usable alone, imported by these names, each with an example
in `docs/examples/`:

    eojax.samplers.langevin                  Langevin chains on any energy
    eojax.samplers.replay_buffer             persistent chains
    eojax.augment.randaugment                RandAugment and cutout of whole batches
    eojax.losses.sliced_wasserstein          the sliced Wasserstein distance, by class too
    eojax.losses.supervised_contrastive      the supervised contrastive loss
    eojax.data.reading.raster                windows of GeoTIFFs
    eojax.data.reading.image_folder          folders and archives of images
    eojax.metrics.calibration                reliability and calibration error
    eojax.metrics.out_of_distribution        AUROC and the like of a score
    eojax.metrics.generation                 FID and KID

Nothing heavy is imported before it is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from eojax.interrupt import stop_at_once_while_importing

if TYPE_CHECKING:
    from eojax.errors import UserError as UserError
    from eojax.library.opened import OpenedRun as OpenedRun
    from eojax.library.opened import open_run as open
    from eojax.library.training import load_config as load_config
    from eojax.library.training import train as train

__version__ = '0.1.0'
__all__ = ['OpenedRun', 'UserError', 'load_config', 'open', 'train']

# Where each name comes from: the module and its name there.
_LAZY = {
    'OpenedRun': ('eojax.library.opened', 'OpenedRun'),
    'UserError': ('eojax.errors', 'UserError'),
    'load_config': ('eojax.library.training', 'load_config'),
    'open': ('eojax.library.opened', 'open_run'),
    'train': ('eojax.library.training', 'train'),
}

stop_at_once_while_importing()


def __getattr__(name: str) -> Any:
    """Imports what is asked for by its name (PEP 562)."""
    if name not in _LAZY:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    module, attribute = _LAZY[name]
    value = getattr(importlib.import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted((*__all__, '__doc__', '__file__', '__name__', '__path__', '__version__'))
