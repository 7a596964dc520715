"""The scenes at a path: a GeoTIFF, the GeoTIFFs of a folder, products, and folders of bands."""

from __future__ import annotations

from pathlib import Path

from eojax.data.reading.bands.files import SAFE, find_scenes, may_hold_bands, path_in_archive
from eojax.data.reading.bands.names import scenes_among
from eojax.data.reading.raster import SUFFIXES
from eojax.errors import UserError

_ARCHIVE = '.zip'


def is_scene_of_bands(path: Path) -> bool:
    """Whether a path is one scene whose bands lie in files of their own: a product or a folder.

    Nothing below a folder is looked at but a product's granules; of archives, all names.
    """
    if path.is_dir() and not path.name.lower().endswith(SAFE):
        return bool(scenes_among(file.name for file in path.iterdir() if file.is_file()))
    return may_hold_bands(path) and len(find_scenes(path)) == 1


def scenes_at(path: Path, option: str) -> list[Path]:
    """All scenes that a path of the command line names.

    A folder's GeoTIFFs and products are those directly in it; where it has none, bands in files of
    their own are looked for at any depth.

    Args:
      path: of a file, a folder, an archive, or a folder in an archive.
      option: that named it, for messages.

    Raises:
      UserError: no such path, or no scene there.
    """
    try:
        path_in_archive(path)
    except UserError:
        raise UserError(f'{option}={path}: no such file or folder') from None
    if not may_hold_bands(path):
        return [path]
    if not path.is_dir() or path.name.lower().endswith(SAFE) or is_scene_of_bands(path):
        found = find_scenes(path)
        return [path] if len(found) == 1 else _some(found, path, option)
    entries = [entry for entry in sorted(path.iterdir()) if entry.name[0] != '.']
    files = [one for one in entries if one.suffix.lower() in SUFFIXES and one.is_file()]
    products = [one for one in entries if one.name.lower().endswith((SAFE, SAFE + _ARCHIVE))]
    if files or products:
        inside = [scene for one in products for scene in find_scenes(one)]
        return sorted(files + inside) or _some([], path, option)
    return _some(find_scenes(path), path, option)


def is_one_scene(path: Path) -> bool:
    """Whether a path is a scene itself, and no folder of scenes."""
    return is_scene_of_bands(path) if may_hold_bands(path) else path.is_file()


def name_of(scene: Path, root: Path) -> str:
    """A name for a scene's files: its own, and where it is a folder of bands those above it.

    Args:
      scene: one of `scenes_at`.
      root: the path that was asked for.
    """
    if scene.suffix.lower() in SUFFIXES:
        return scene.stem
    parts = scene.relative_to(root).parts if scene != root else (scene.name,)
    plain = [part.removesuffix(_ARCHIVE) for part in parts]
    products = [part for part in plain if part.lower().endswith(SAFE)]
    named = products[-1:] or plain
    return '_'.join(part[: -len(SAFE)] if part.lower().endswith(SAFE) else part for part in named)


def _some(found: list[Path], path: Path, option: str) -> list[Path]:
    if found:
        return found
    raise UserError(
        f'{option}={path}: no GeoTIFF ({", ".join(SUFFIXES)}), no .SAFE product, and no bands in'
        ' files of their own (..._B02.tif) in it'
    )
