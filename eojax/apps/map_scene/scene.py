"""A scene to be mapped: opened, with the rasters beside it, and all that its map depends on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from eojax.apps.map_scene.companions import Companion, open_companions
from eojax.apps.map_scene.model import Model, files_of
from eojax.apps.map_scene.reference_places import check_places
from eojax.apps.map_scene.tiling import Tiling, find_tiling, window_side
from eojax.data.reading.bands.files import stamp_of
from eojax.data.reading.raster import Raster, Reading
from eojax.errors import UserError


class Job(NamedTuple):
    """A scene to be mapped.

    Attributes:
      scene: path of the GeoTIFF, product or folder of bands.
      out: folder of its map.
    """

    scene: Path
    out: Path


class Options(NamedTuple):
    """How scenes are mapped.

    Attributes:
      patch, stride: in pixels; None as in `patch_map.find_tiling`.
      reading: how scenes are read.
      rasters: the files of further rasters, by name (`eojax.apps.map_scene.companions`).
    """

    patch: int | None
    stride: int | None
    reading: Reading
    rasters: Mapping[str, Path] = MappingProxyType({})


def open_scene(job: Job, model: Model, options: Options) -> tuple[Raster, Tiling]:
    """The scene, to be closed by the caller, and its patches.

    Raises:
      UserError: a scene that cannot be mapped, or one whose map would overwrite it.
    """
    if any(job.scene.resolve() == (job.out / name).resolve() for name in files_of(model)):
        raise UserError(f'{job.scene}: its map would overwrite it; choose another --out')
    images = model.run.images
    raster = Raster(
        job.scene, images.bands, images.limits, options.reading, images.dtype,
        model.run.facts.own_units, decibels=images.decibels,surface=images.surface,
    )  # fmt: skip
    try:
        wanted = model.guarantees.wanted
        if wanted.reference is not None:
            check_places(wanted.reference, raster, model.run.facts.class_names, wanted.block)
        return raster, find_tiling(raster, model.run, options.patch, options.stride)
    except BaseException:
        raster.close()
        raise


@contextlib.contextmanager
def companions_of(model: Model, raster: Raster, options: Options) -> Iterator[list[Companion]]:
    """The further rasters of an open scene, opened."""
    opened = open_companions(model.run, options.rasters, raster)
    try:
        yield opened
    finally:
        for one in opened:
            one.close()


def settings_of(
    job: Job, model: Model, raster: Raster, tiling: Tiling, options: Options
) -> dict[str, Any]:
    """All that a map depends on: a map of the same settings need not be made again."""
    (num_bytes, modified), run, reading = stamp_of(job.scene), model.run, options.reading
    others = {
        name: [str(path.resolve()), *_stamp(path), *_mask_beside(path)]
        for name, path in sorted(options.rasters.items())
    }
    return {
        'scene': str(job.scene.resolve()),
        'scene_bytes': num_bytes,
        'scene_modified_ns': modified,
        'run': str(run.folder.resolve()),
        'step': model.run.step,
        'checksum': model.checksum,
        'patch': tiling.patch,
        'stride': tiling.stride,
        'bands': raster.indexes,
        'scale': raster.scale_text,
        'nodata': None if reading.nodata is None else str(reading.nodata),
        'batch_size': run.config.evaluate.batch_size,
        'unseen_threshold': model.threshold,
        **_place_and_mask(raster),
        **({'rasters': others} if others else {}),
        **({'blended': True} if tiling.by_pixel else {}),
        # Earlier maps have the class beside a pixel's middle where windows are resampled.
        **({'at_middles': True} if tiling.by_pixel and tiling.patch != window_side(run) else {}),
        **({'guarantees': kept} if (kept := model.guarantees.settings()) else {}),
    }


def _place_and_mask(raster: Raster) -> dict[str, Any]:
    """The settings that the files beside a scene may change, and how its ground is measured."""
    mask = _mask_beside(raster.path)
    by_grid = raster.ground is None or raster.ground.by_grid
    return {
        **({'mask_beside': mask} if mask else {}),
        **({'masked_by': raster.mask_text} if raster.mask_text else {}),
        **({} if by_grid else {'ground': 'ellipsoid'}),
        **({'beside': raster.beside_text} if raster.beside_text else {}),
    }


def _mask_beside(path: Path) -> list[int]:
    """Size and time of the mask that GDAL reads from a file of its own; empty without one."""
    beside = path.with_name(f'{path.name}.msk')
    return _stamp(beside) if beside.is_file() else []


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]
