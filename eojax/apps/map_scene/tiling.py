"""Where the patches and windows of a scene lie."""

from __future__ import annotations

from typing import NamedTuple

from eojax.data.reading.patches import patch_pixels
from eojax.data.reading.raster import Raster
from eojax.errors import UserError
from eojax.runs.run import Run


class Tiling(NamedTuple):
    """Where the patches of a scene lie: at all multiples of `stride` where a whole one fits.

    Attributes:
      height, width: of the scene in pixels.
      patch, stride: in pixels; the stride divides the patch, unless each pixel has a class of its
        own (`eojax.apps.map_scene.pixel_map`).
      by_pixel: whether each pixel has a class of its own.
    """

    height: int
    width: int
    patch: int
    stride: int
    by_pixel: bool = False

    @property
    def cell(self) -> int:
        """The side of what has one class, in pixels."""
        return 1 if self.by_pixel else self.stride

    @property
    def rows(self) -> int:
        """Of patches."""
        return (self.height - self.patch) // self.stride + 1

    @property
    def columns(self) -> int:
        """Of patches."""
        return (self.width - self.patch) // self.stride + 1

    @property
    def overlap(self) -> int:
        """Patches beside each other that cover the same cell."""
        return self.patch // self.stride

    @property
    def cell_rows(self) -> int:
        return self.rows + self.overlap - 1

    @property
    def cell_columns(self) -> int:
        return self.columns + self.overlap - 1


def find_tiling(
    raster: Raster, run: Run, patch: int | None = None, stride: int | None = None
) -> Tiling:
    """The patches of a scene for a run.

    Args:
      patch: in pixels; None for as much ground as a training image shows.
      stride: in pixels; None for patches side by side.

    Raises:
      UserError: a scene without a place on Earth or smaller than a patch, or a stride that does not
        divide the patch.
    """
    if not raster.by_points and (raster.crs is None or raster.transform.is_identity):
        way = 'give it one (gdal_translate -a_srs EPSG:... -a_ullr ...)'
        if raster.rpcs is not None:
            way = 'bring it onto the ground by its RPCs first (gdalwarp -rpc -t_srs EPSG:...)'
        raise UserError(
            f'{raster.path}: has no coordinate system, so a map of it would lie nowhere on Earth;'
            f' {way}'
        )
    if 'pixel_logits' in run.method.abilities:
        return _find_windows(raster, run, patch, stride)
    patch = patch or patch_pixels(run.facts, run.task.image_shape[0], raster.pixel_metres())
    _check_patch(raster, patch)
    stride = stride or patch
    if patch % stride:
        raise UserError(f'--stride={stride} does not divide the patch of {patch} pixels')
    return Tiling(raster.height, raster.width, patch, stride)


def window_side(run: Run) -> int:
    """The side of what a method that classifies pixels is shown, in the pixels of its network."""
    return run.method.window or min(run.task.image_shape[:2])


def _find_windows(raster: Raster, run: Run, patch: int | None, stride: int | None) -> Tiling:
    """The windows of a method that classifies pixels: as much ground as in an evaluation."""
    window = window_side(run)
    for name in run.method.rasters:
        scale = run.facts.rasters[name].scale if name in run.facts.rasters else 1
        if window % scale:
            raise UserError(
                f'the run sees windows of {window} pixels, which are no whole number of pixels of'
                f' {name} (each covers {scale}): choose another --config.method.window in training'
            )
    metres, pixel = run.facts.metres, raster.pixel_metres()
    if patch is None and metres is not None and pixel is not None:
        patch = max(1, round(window * metres / pixel))
    patch = patch or window
    stride = stride or max(1, patch // 2)
    if stride > patch:
        raise UserError(f'--stride={stride} leaves gaps between windows of {patch} pixels')
    return Tiling(raster.height, raster.width, patch, stride, by_pixel=True)


def _check_patch(raster: Raster, patch: int) -> None:
    if min(raster.height, raster.width) < patch:
        raise UserError(
            f'{raster.path}: {raster.width}x{raster.height} pixels, smaller than a patch of'
            f' {patch}x{patch}; --patch=PIXELS takes smaller ones'
        )
