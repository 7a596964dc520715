"""Where the files of a scene's bands lie: in a folder, a product, or a zip archive of either.

A path is a folder of bands (`beirut/imgs_1_rect`), a product (`S2B_MSIL2A_....SAFE`), its granule,
an archive (`S2B_MSIL2A_....SAFE.zip`), or a folder in an archive (`OSCD.zip/beirut/imgs_1_rect`).
Where a folder holds the bands of several scenes, the beginning of their names follows it
(`downloads/T48QUE_20200223` for `T48QUE_20200223_B02.jp2`, ...).
"""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from eojax.data.reading.bands.names import choose_files, scenes_among
from eojax.data.reading.bands.product import Metadata, is_metadata, parse_metadata
from eojax.data.reading.listing.archive import (
    list_members,
    names_for_gdal,
    open_zip,
    read_member,
)
from eojax.data.reading.listing.folder import walk_folder
from eojax.errors import UserError

SAFE = '.safe'
_ZIP = '.zip'
# Of a file of metadata; real ones have about 60 KB.
_MOST_METADATA = 2**24


class BandFiles(NamedTuple):
    """The files of one scene.

    Attributes:
      path: of the scene, as it was named.
      name: of the product or folder.
      files: for GDAL, by band, in the order of their numbers.
      metadata: of its product; None where there is none.
    """

    path: Path
    name: str
    files: Mapping[str, str]
    metadata: Metadata | None = None


class Listing(NamedTuple):
    """What lies below a folder or in an archive.

    Attributes:
      root: the folder or archive.
      below: the folder in it that was asked for, with forward slashes; empty for all.
      files: for GDAL, by their names below `below`.
      archive: whether the root is one.
    """

    root: Path
    below: str
    files: Mapping[str, str]
    archive: bool

    def read(self, name: str) -> bytes:
        """The content of one of the files."""
        if not self.archive:
            try:
                return Path(self.files[name]).read_bytes()
            except OSError as error:
                raise UserError(f'{self.files[name]}: cannot be read ({error.strerror})') from None
        with open_zip(self.root) as archive:
            inside = f'{self.below}/{name}' if self.below else name
            members = list_members(self.root, archive, ())
            return read_member(self.root, archive, members.files[inside], _MOST_METADATA)


def path_in_archive(path: Path) -> tuple[Path, str]:
    """What there is on the disk of a path, and what lies below it in an archive.

    Of a scene that is named by the beginning of its files: their folder, and that beginning.

    Raises:
      UserError: there is nothing.
    """
    root, below = path, ''
    while not root.exists() and root != root.parent:
        below = f'{root.name}/{below}' if below else root.name
        root = root.parent
    in_archive = root.is_file() and root.suffix.lower() == _ZIP
    if below and not in_archive and not _begins_scene(path):
        raise UserError(f'no such file or folder: {path}')
    return root, below


def _begins_scene(path: Path) -> bool:
    """Whether a path is no file or folder, but the beginning of the names of bands' files."""
    if path.exists() or not path.parent.is_dir():
        return False
    return any(scene.startswith(path.name) for _, scene in scenes_among(os.listdir(path.parent)))


def may_hold_bands(path: Path) -> bool:
    """Whether a path is a folder or an archive, or lies in one: no single file."""
    if path.is_dir() or path.suffix.lower() == _ZIP or _begins_scene(path):
        return True
    return not path.exists() and any(one.suffix.lower() == _ZIP for one in path.parents)


def list_bands(path: Path) -> Listing:
    """All files below a folder, an archive, or a folder in one.

    Raises:
      UserError: there is nothing, or it cannot be read.
    """
    root, below = path_in_archive(path)
    if root.is_dir():
        files = walk_folder(root, ()).files
        if below:
            files = {name: file for name, file in files.items() if _begins(name, below)}
        return Listing(root, '', files, False)
    status = os.stat(root)
    members = _members(root, status.st_size, status.st_mtime_ns)
    inside = f'{below}/' if below else ''
    files = {
        name.removeprefix(inside): f'/vsizip/{{{root}}}/{member}'
        for name, member in members.items()
        if name.startswith(inside)
    }
    if not files:
        folder, _, beginning = below.rpartition('/')
        inside = f'{folder}/' if folder else ''
        files = {
            name.removeprefix(inside): f'/vsizip/{{{root}}}/{member}'
            for name, member in members.items()
            if name.startswith(inside) and _begins(name.removeprefix(inside), beginning)
        }
        below = folder
    return Listing(root, below, files, True)


def _begins(name: str, beginning: str) -> bool:
    """Whether a file without folder has a name that begins so, and goes on with a new word."""
    return name.startswith(beginning) and name[len(beginning) :][:1] in ('_', '-', '.', ' ')


@functools.lru_cache(4)  # a scene in an archive is opened again and again
def _members(root: Path, size: int, changed: int) -> Mapping[str, str]:
    with open_zip(root) as archive:
        return MappingProxyType(names_for_gdal(root, archive))


def find_scenes(path: Path) -> list[Path]:
    """The scenes at or below a path, at any depth; none where no bands have files of their own.

    Products are named by their folder (`.SAFE`), or by the granule where they have several.
    Archives of products in a folder are scenes too.

    Raises:
      UserError: it cannot be read.
    """
    if not may_hold_bands(path):
        return []
    listing = list_bands(path)
    found: dict[Path, None] = {}
    scenes = scenes_among(listing.files)
    in_product = Counter(_product_of(folder) for folder, _ in scenes)
    in_folder = Counter(folder for folder, _ in scenes)
    for folder, scene in scenes:
        product = _product_of(folder)
        if product is not None and in_product[product] == 1:
            found[path / product] = None
        elif in_folder[folder] == 1 or not scene:
            found[path / folder] = None
        else:
            found[path / folder / scene] = None
    for name in () if listing.archive else listing.files:
        if name.lower().endswith(SAFE + _ZIP):
            found[path / name] = None
    return sorted(found)


def _product_of(folder: str) -> str | None:
    """The product that a granule's folder is in; None where it is in none."""
    before, granule, _ = f'/{folder}'.partition('/GRANULE/')
    return before.removeprefix('/') if granule else None


def open_band_files(path: Path) -> BandFiles:
    """The files of the one scene at a path.

    Raises:
      UserError: no bands in files of their own, those of several scenes, or metadata that cannot
        be read or contradicts itself.
    """
    listing = list_bands(path)
    scenes = scenes_among(listing.files)
    if not scenes:
        named = ', '.join(list(listing.files)[:1])
        held = f'it has, for example, {named}' if named else 'it is empty'
        raise UserError(
            f'{path}: no bands of Sentinel-2 in files of their own (..._B02.tif, ..._B03.jp2);'
            f' {held}'
        )
    if len(scenes) > 1:
        names = [f'{folder}/{scene}'.strip('/_') for folder, scene in scenes]
        raise UserError(
            f'{path}: holds the bands of {len(scenes)} scenes ({", ".join(names[:3])}'
            f'{", ..." if len(names) > 3 else ""}): name the folder of one'
        )
    (folder, scene), members = next(iter(scenes.items()))
    chosen = choose_files(str(path), scene, members)
    name = _name_of(path, folder)
    return BandFiles(
        path,
        name,
        {band: listing.files[file] for band, file in chosen.items()},
        _metadata(path, listing, folder, name),
    )


def _name_of(path: Path, folder: str) -> str:
    """The name of the product that a scene is of, else that of its folder."""
    for part in (*reversed(folder.split('/')), *reversed(path.parts)):
        if part.lower().endswith((SAFE, SAFE + _ZIP)):
            return part[: part.lower().index(SAFE)]
    return path.name.removesuffix(_ZIP)


def _metadata(path: Path, listing: Listing, folder: str, name: str) -> Metadata | None:
    """The metadata of the product that a scene is of; None where it is of none."""
    product = _product_of(folder)
    if product is not None:
        inside = f'{product}/' if product else ''
        beside = [
            file
            for file in listing.files
            if file.startswith(inside) and is_metadata(file.removeprefix(inside))
        ]
    else:
        # The path may be that of a granule, or of its files.
        above = [path, *list(path.parents)[:4]]
        roots = [one for one in above if one.name.lower().endswith(SAFE)]
        if not roots:
            beside = [file for file in listing.files if is_metadata(file)]
        else:
            listing = list_bands(roots[0])
            beside = [file for file in listing.files if is_metadata(file)]
    if len(beside) > 1:
        raise UserError(
            f'{path}: has the metadata of {len(beside)} products ({", ".join(sorted(beside))}):'
            ' keep those of its own'
        )
    if not beside:
        return None
    return parse_metadata(listing.read(beside[0]), f'{path}: {beside[0]}', name)


def stamp_of(path: Path) -> tuple[int, int]:
    """Bytes of the files of a scene, and when the last of them was changed, in nanoseconds."""
    root, _ = path_in_archive(path)
    if root.is_file():
        status = root.stat()
        return status.st_size, status.st_mtime_ns
    statuses = [os.stat(file) for file in list_bands(path).files.values()]
    return sum(s.st_size for s in statuses), max((s.st_mtime_ns for s in statuses), default=0)
