"""The suites: the configs that are timed, at which sizes, on which kind of device.

Every entry is a config of `configs/`, on drawn images in place of its data sets, with a class for
each pixel where it wants one, so that a suite runs anywhere and downloads nothing. The `gpu` suite
has the published sizes in bfloat16; the `cpu` suite has the same methods, small enough for two
cores and a few minutes. Timed is a config's last phase: the one with chains, and of a transfer the
alignment.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from eojax.config.base import base_config, flatten, set_key
from eojax.config.command_line import load_config
from eojax.errors import UserError, unknown_name
from eojax.methods import METHODS
from eojax.models.arithmetic import settle

CONFIGS = Path(__file__).parent.parent / 'configs'
# Entry to config. One whose file is not there is not in the suites.
_METHODS = {
    'jem': 'jem_eurosat.py',
    'supervised': 'supervised_eurosat.py',
    'jempp': 'jempp_eurosat.py',
    'sada': 'sada_jem_eurosat.py',
    'fixmatch': 'fixmatch_eurosat.py',
    'fixmatch_jem': 'fixmatch_jem_eurosat.py',
    'swd_transfer': 'swd_transfer_landscapes.py',
    'segmentation': 'segmentation_minifrance.py',
    'fixmatch_segmentation': 'fixmatch_dubai_small.py',
    'seg_jem': 'seg_jem_dubai_small.py',
    'image_synthesis': 'image_synthesis_geonrw.py',
}
# Data sets that are drawn, and so are timed on as they are. For all others stands one of them, by
# the kind of their labels.
_DRAWN = ('landscapes', 'landscape_zones', 'landscape_cover', 'landscape_pairs')
_INSTEAD = {'image': 'landscapes', 'pixel': 'landscape_cover'}
# Where it needs other rasters than that has.
_INSTEAD_OF_METHOD = {'image_synthesis': 'landscape_pairs'}
# Names that a config takes from its own data set: another one has no such cities or classes.
_NAMES = ('classes', 'labelled_groups', 'test_groups', 'validation_groups', 'validation_by',
          'unseen_classes')  # fmt: skip
# Two cores can train these as they are.
_SMALL = ('fixmatch_segmentation', 'seg_jem')
# The views that are usual, and that peers have too.
VIEWS: dict[str, Any] = {
    'method.pseudo_labels': 'sure',
    'method.classmix_share': 0.0,
    'method.cutmix_share': 0.5,
    'method.strong_set': 'identity,autocontrast,brightness,colour,contrast,sharpness',
}
# What the published step does not have, nor its peers.
_PAIRS: dict[str, Any] = {'method.average_decay': 0.0, 'method.raster_values': 'stored'}
# How many images there are a step does not see, and drawing all of them takes a while. The
# transfer's own sizes are small.
_OWN: dict[str, dict[str, Any]] = {
    'swd_transfer': {'batch_size': 32, 'data.num_images': 4_000, 'source.num_images': 4_000},
    'fixmatch_segmentation': VIEWS,
}
_FEW_TILES: dict[str, Any] = {'data.num_images': 160}
_LARGE_TILES: dict[str, Any] = {'data.size': 512, 'data.num_images': 64, 'method.window': 256}
_GPU_OWN: dict[str, dict[str, Any]] = {
    **_OWN,
    'segmentation': _LARGE_TILES,
    'fixmatch_segmentation': {**VIEWS, **_LARGE_TILES, 'model.width': 64, 'model.depth': 4},
    'seg_jem': {
        **_LARGE_TILES,
        'model.width': 128,
        'method.chain_window': 128,
        'sampler.steps': 20,
    },
    'image_synthesis': {**_LARGE_TILES, **_PAIRS},
}
_CPU_OWN: dict[str, dict[str, Any]] = {
    **_OWN,
    'segmentation': {**_FEW_TILES, 'model.width': 16, 'model.depth': 3, 'method.window': 64},
    'image_synthesis': {
        **_FEW_TILES,
        'batch_size': 8,
        'model.width': 8,
        'model.levels': 2,
        'model.blocks': 3,
        'method.window': 64,
        **_PAIRS,
        'discriminator.width': 16,
    },
}
_GPU = {'model.dtype': 'bfloat16'}
_CPU = {
    'model.depth': 16,
    'model.width': 2,
    'model.dtype': 'float32',
    'batch_size': 16,
    'method.likelihood_batch_size': 16,
    'method.score_matching_batch_size': 16,
    'method.unlabelled_ratio': 3,
    'sampler.buffer_size': 1_000,
}
_TINY = {
    'model.depth': 10,
    'model.width': 1,
    'data.size': 16,
    'data.num_images': 400,
    'batch_size': 8,
    'method.likelihood_batch_size': 8,
    'method.score_matching_batch_size': 8,
    'method.unlabelled_ratio': 2,
    'method.source_batch_size': 12,
    'method.num_projections': 4,
    'source.size': 16,
    'source.num_images': 400,
    'model.widths': (4, 8),
    'model.strides': (1, 2),
    'sampler.steps': 2,
    'sampler.buffer_size': 40,
}
# Drawn tiles have 32 pixels a side at least, and U-Nets have a depth too.
_TINY_PIXELS: dict[str, Any] = {
    'data.size': 32,
    'data.num_images': 32,
    'model.width': 4,
    'model.depth': 2,
    'model.dtype': 'float32',
    'method.window': 16,
    'method.chain_window': 8,
    'method.density_width': 4,
    'method.unlabelled_ratio': 1,
}
_TINY_OWN = {
    'segmentation': _TINY_PIXELS,
    'fixmatch_segmentation': {**VIEWS, **_TINY_PIXELS},
    'seg_jem': _TINY_PIXELS,
    'image_synthesis': {
        **_TINY_PIXELS,
        'batch_size': 2,
        'model.levels': 1,
        'model.blocks': 1,
        **_PAIRS,
        'discriminator.width': 4,
        'discriminator.scales': 1,
    },
}


class Entry(NamedTuple):
    """One training step to time.

    Attributes:
      name: in the table and in a record.
      config: what training would be given.
    """

    name: str
    config: ConfigDict


class Suite(NamedTuple):
    """Entries, and how long to time them.

    Attributes:
      entries: makes the configs, by name.
      cpu: whether it is for the CPU; None for every device.
      seconds: what a workload lasts at least in a round.
      ceiling: size of the matrices and megabytes of the copy; 0 takes what is usual.
    """

    entries: Mapping[str, Callable[[], ConfigDict]]
    cpu: bool | None
    seconds: float
    ceiling: tuple[int, int] = (0, 0)


def suites() -> dict[str, Suite]:
    """All suites by name; `tiny` is for the tests, and too small to say anything."""
    there = {name: file for name, file in _METHODS.items() if (CONFIGS / file).exists()}

    def entries(
        changes: Mapping[str, Any], own: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Callable[[], ConfigDict]]:
        return {
            name: functools.partial(adapted, file, {**changes, **own.get(name, {})})
            for name, file in there.items()
        }

    # A quarter of the chain's length.
    cpu = {n: functools.partial(shortened, make, 4) for n, make in entries(_CPU, _CPU_OWN).items()}
    for name in _SMALL:
        if name in there:
            cpu[name] = functools.partial(
                adapted, there[name], {**_OWN.get(name, {}), **_FEW_TILES}
            )
    return {
        'gpu': Suite(entries(_GPU, _GPU_OWN), False, 1.0),
        'cpu': Suite(
            {**cpu, 'quickstart': functools.partial(adapted, 'quickstart.py', {})}, True, 1.0
        ),
        'tiny': Suite(entries(_TINY, _TINY_OWN), None, 0.0, (64, 1)),
    }


def choose(name: str, only: Sequence[str] = ()) -> tuple[Suite, list[Entry]]:
    """A suite and its entries, or those in `only`.

    Args:
      name: of the suite; where empty, the one for the device that jax computes on.

    Raises:
      UserError: an unknown suite or entry, or a suite for another kind of device.
    """
    known, on_cpu = suites(), jax.default_backend() == 'cpu'
    name = name or ('cpu' if on_cpu else 'gpu')
    if name not in known:
        raise unknown_name('suite', name, known.keys() - {'tiny'})
    suite = known[name]
    for entry in only:
        if entry not in suite.entries:
            raise unknown_name(f'entry of the {name} suite', entry, suite.entries)
    if suite.cpu is not None and suite.cpu != on_cpu:
        other = 'set JAX_PLATFORMS=cpu' if suite.cpu else 'install the build of jax for yours'
        raise UserError(
            f'the {name} suite is for {"the CPU" if suite.cpu else "accelerators"} and jax computes'
            f' on {jax.devices()[0].device_kind}: {other}, or leave out --suite'
        )
    chosen = [entry for entry in suite.entries if entry in only or not only]
    return suite, [Entry(entry, suite.entries[entry]()) for entry in chosen]


def adapted(file: str, changes: Mapping[str, Any]) -> ConfigDict:
    """The config of a file, on drawn images, with those changes that it has keys for."""
    original = load_config(str(CONFIGS / file))
    groups = [group for group in ('data', 'source') if group in original]
    method = original.method.name
    instead = _INSTEAD_OF_METHOD.get(method) or _INSTEAD[METHODS[method].labels[0]]
    drawn = {g: name if (name := original[g].name) in _DRAWN else instead for g in groups}
    config = base_config(method, original.model.name, *drawn.values())
    known = dict(flatten(config))
    # Data sets have the names chosen above, and some options were those of others.
    left = {f'{group}.name' for group in groups}
    for group in groups:
        if original[group].name != drawn[group]:
            left |= {f'{group}.{name}' for name in _NAMES}
    for key, value in flatten(original):
        if key not in left and key in known:
            set_key(config, key, value)
    # The peers have one buffer, and one device needs one.
    parts = {'sampler.buffer_parts': 1} if jax.device_count() == 1 else {}
    for key, value in {**parts, **changes}.items():
        if key in known:
            set_key(config, key, value)
    return config


def shortened(make: Callable[[], ConfigDict], factor: int) -> ConfigDict:
    """The config with chains of a `factor`-th of the length, rounded up."""
    config = make()
    if 'sampler' in config:
        config.sampler.steps = -(-config.sampler.steps // factor)
    return config


def described(config: ConfigDict) -> str:
    """A config's sizes in a few words: `WRN-28-10, 64 px, batch 64, 20 steps, bfloat16`."""
    method, batch = config.method, f'batch {config.batch_size}'
    if 'unlabelled_ratio' in method:
        batch += f' + {method.unlabelled_ratio} x {config.batch_size}'
    if 'source_batch_size' in method:
        batch += f' + 2 x {method.source_batch_size}'
    words = [_network(config.model), f'{method.get("window", config.data.size)} px', batch]
    if 'num_projections' in method:
        words.append(f'{method.num_projections} projections')
    if 'sampler' in config:
        words += _chains(config)
    return ', '.join([*words, settle(config).model.dtype])


def _network(model: ConfigDict) -> str:
    if model.name == 'wide_resnet':
        return f'WRN-{model.depth}-{model.width}'
    if model.name == 'unet':
        return f'U-Net {model.width}, depth {model.depth}'
    if model.name == 'pixel_network':
        return f'pixel network {model.width}'
    if model.name == 'image_generator':
        return f'generator {model.width}, {model.levels} levels, {model.blocks} blocks'
    return f'{model.name} {"-".join(str(int(width)) for width in model.widths)}'


def _chains(config: ConfigDict) -> list[str]:
    """How many chains there are, where not as many as in a batch, how large and how long."""
    method, steps, inner = config.method, config.sampler.steps, config.sampler.get('inner_steps', 1)
    words = []
    if method.get('density', '') == 'local':
        words.append(f'density {method.density_width}')
    if 'chain_window' in method:
        words.append(f'chains of {method.chain_window or method.window} px')
    elif method.likelihood_batch_size != config.batch_size:
        words.append(f'{method.likelihood_batch_size} chains')
    length = f'{steps} x {inner}' if inner > 1 else f'{steps}'
    return [*words, f'{length} step{"s" if steps * inner > 1 else ""}']
