"""The commands that work on files, as functions of an opened run."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from eojax.apps.map_scene.command import check_run, wanted_of
from eojax.apps.map_scene.guarantees import AREAS_FILES, Wanted
from eojax.apps.map_scene.job import map_scene as make_map
from eojax.apps.map_scene.model import PICTURE, layers_of, prepare_model
from eojax.apps.map_scene.scene import Job, Options
from eojax.apps.predict.inputs import find_inputs
from eojax.data.reading.any_image import ImageReader
from eojax.data.reading.bands.files import path_in_archive
from eojax.data.reading.raster import Reading
from eojax.data.reading.scene_paths import is_one_scene
from eojax.errors import UserError
from eojax.evaluation.command import read_labelled
from eojax.evaluation.evaluate import measure_run
from eojax.evaluation.guarantees.rules import Asked
from eojax.evaluation.outliers import spread
from eojax.home import expanded
from eojax.library.making import in_python, whole
from eojax.library.results import SceneMap
from eojax.messages import say_some
from eojax.runs import contents
from eojax.runs.command import open_folder_for_writing
from eojax.runs.domains import TARGET
from eojax.runs.run import Run
from eojax.weights.unpacked import is_unpacked

# That decode at a time.
_THREADS = 4


def read_images(
    run: Run,
    path: Path,
    resize: bool,
    num: int | None,
    reading: tuple[str, str, float | None, float | None],
) -> np.ndarray:
    """Image files as arrays; args and errors as `OpenedRun.read`."""
    num = None if num is None else whole('num', num)
    side = None if 'pixel_logits' in run.method.abilities else run.task.image_shape[0]
    reader = ImageReader(run.facts, side, Reading(*reading), resize)
    with in_python():
        files = [part.one(name) for part in find_inputs([path], []) for name in part.names]
        if num is not None:
            files = [files[i] for i in spread(len(files), num)]
        with ThreadPoolExecutor(_THREADS) as pool:
            read = list(pool.map(lambda file: reader.read(file.read(), file.title), files))
    notes = [f'{f.title}: {note}' for f, one in zip(files, read, strict=True) for note in one.notes]
    say_some(notes)
    for file, one in zip(files, read, strict=True):
        if one.pixels.shape != read[0].pixels.shape:
            raise UserError(
                f'{file.title} is {list(one.pixels.shape)}, and {files[0].title} is'
                f' {list(read[0].pixels.shape)}: read images of one size at a time'
            )
    return np.stack([one.pixels for one in read])


def map_scene(
    run: Run,
    state: Any,
    scene: Path,
    out: Path,
    patch: int | None,
    stride: int | None,
    reading: tuple[str, str, float | None, float | None],
    rasters: Mapping[str, str | Path],
    percentile: float,
    wanted: Wanted,
) -> SceneMap:
    """The map of a scene; args and errors as `OpenedRun.map_scene`."""
    scene, out = expanded(scene), expanded(out)
    for name, value in (('patch', patch), ('stride', stride)):
        if value is not None and value < 1:
            raise UserError(f'{name} must be at least 1, not {value}')
    if not 0.0 < percentile < 100.0:
        raise UserError(f'percentile must lie between 0 and 100, not {percentile:g}')
    path_in_archive(scene)
    if not is_one_scene(scene):
        raise UserError(f'{scene}: no GeoTIFF, and no product or folder of the bands of one scene')
    files = {name: expanded(path) for name, path in rasters.items()}
    with in_python():
        wanted = wanted_of(wanted.asked, wanted.reference, wanted.block, prefix='')
        check_run(run, files, wanted, '')
        open_folder_for_writing(out, 'out')
        model = prepare_model(run, state, percentile, wanted)
        options = Options(patch, stride, Reading(*reading), files)
        summary = make_map(Job(scene, out), model, options)
    layers = {layer.name: out / layer.files[0] for layer in layers_of(model)}
    tables = {Path(name).name: out / name for name in AREAS_FILES if wanted.areas}
    return SceneMap(out, summary, {**layers, 'overview': out / PICTURE, **tables})


def evaluate(
    run: Run, state: Any, data: str | Path | None, out: str | Path | None, asked: Asked
) -> dict[str, Any]:
    """The numbers of an evaluation; args and errors as `OpenedRun.evaluate`."""
    config = run.config.copy_and_resolve_references()
    config.evaluate.update(asked._asdict())
    run = run._replace(config=config)
    with in_python():
        labelled, known, name = None, None, 'evaluation'
        if data is not None:
            path = expanded(Path(data))
            labelled = read_labelled(path, run)
            known = contents.known_by_pixels(run.folder, run.known[TARGET])
            name = f'evaluation_{path.stem}'
        folder = None if is_unpacked(run.folder) else run.folder / name
        return measure_run(
            run, state, folder if out is None else expanded(Path(out)), labelled, known
        )
