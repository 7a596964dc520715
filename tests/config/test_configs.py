"""Every file in `configs/`: complete, strict, and trained for two steps and evaluated in small."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from ml_collections import ConfigDict

from eojax.config.base import check_config, flatten, set_key, to_json
from eojax.config.command_line import load_config
from eojax.data.sets import aid, ucmerced
from eojax.evaluation import evaluate, generation
from eojax.methods import METHODS
from eojax.runs.run import prepare
from eojax.training.loop import train
from tests.data.labelled_archives import encode, eurosat_members, pixels, write_zip
from tests.data.sets import so2sat_files
from tests.data.sets.airsar_scenes import write_scene
from tests.data.sets.geotiff_archives import eurosat_ms_members
from tests.data.sets.pixels import tiles
from tests.training_runs import rows

# The module that reads GeoTIFF silences it for users, but pytest sets filters of its own.
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

CONFIGS = sorted((Path(__file__).parents[2] / 'configs').glob('*.py'))
# What makes a run small; a config without the key is left as it is.
TINY: dict[str, Any] = {
    'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
    'steps_per_call': 1, 'data.size': 16, 'data.ground_size': 16, 'data.num_images': 100,
    'data.labels_per_class': 'all', 'model.depth': 10, 'model.width': 1,
    'method.unlabelled_ratio': 2, 'method.chain_window': 8,
    'method.density_width': 4, 'method.density_depth': 1, 'sampler.start_textures': 2,
    'method.likelihood_batch_size': 4, 'method.score_matching_batch_size': 4,
    'optimizer.warmup_steps': 0, 'sampler.steps': 2, 'sampler.buffer_size': 20,
    'sampler.buffer_parts': 1, 'evaluate.batch_size': 20, 'evaluate.outlier_images': 10,
    'evaluate.inception': '', 'evaluate.outliers': '', 'evaluate.keep_reference': False,
    'data.block': 64, 'method.decoder_features': 8, 'method.importance_samples': 2,
    'data.labelled_in_all': 12, 'source.size': 16, 'source.num_images': 340,
    'model.widths': (4, 4), 'model.strides': (1, 2), 'method.source_batch_size': 4,
    'fixmatch.steps': 1, 'fixmatch.batch_size': 4, 'fixmatch.method.unlabelled_ratio': 2,
    'fixmatch.model.depth': 10, 'fixmatch.model.width': 1, 'fixmatch.optimizer.warmup_steps': 0,
}  # fmt: skip
# What some data sets and methods need besides.
TINY_OF = {
    'landscape_zones': {'data.num_images': 340},
    'landscape_cover': {
        'data.size': 32,
        'data.num_images': 32,
        'data.regions': 8,
        'data.test_groups': '',
        'method.window': 16,
    },
    'landscape_pairs': {'data.size': 32, 'data.num_images': 32, 'method.window': 16},
    'image_generator': {
        'model.width': 2,
        'model.levels': 1,
        'model.blocks': 1,
        'discriminator.width': 2,
        'discriminator.scales': 1,
    },
    'pixel_folder': {'method.window': 16, 'method.evaluation_window': 0},
    'minifrance': {'method.window': 16, 'method.evaluation_window': 16},
    'vaihingen': {'method.window': 16},
    'geonrw': {'method.window': 16, 'method.evaluation_window': 16},
    'christchurch': {'method.window': 16},
    'segnet': {'model.depth': 2},
    'unet': {'model.depth': 1, 'model.width': 2},
    'swd_transfer': {'data.labels_per_class': 'all'},
    # One step each of FixMatch, labelling and the joint model.
    'fixmatch_then_jem': {'steps': 3, 'method.supervised_steps': 0},
    # One each of FixMatch and the joint model, whose step has score matching too.
    'fixmatch_jem': {'method.score_matching_steps': 0},
}
# Their networks, method and readers have tests of their own, or a twin that is trained: these are
# opened alone, for speed.
OPENED = (
    'segmentation_minifrance', 'segmentation_vaihingen', 'segmentation_christchurch',
    'unet_all_labels_dubai_small', 'berundanet_l1_dubai_small', 'unet_landscapes_small',
    'fixmatch_landscapes_small', 'fixmatch_jem_eurosat', 'fixmatch_then_jem_eurosat',
    'jem_eurosat_pod',
    'berundanet_eurosat', 'vae_eurosat', 'jem_eurosat_64_small', 'image_synthesis_geonrw',
    'image_synthesis_dfc2020', 'image_synthesis_dubai_small', 'image_synthesis_flair_small',
    'segmentation_geonrw',
    'segmentation_dfc2020', 'segmentation_landscape_pairs_small', 'fixmatch_eurosat_small',
    'supervised_eurosat_small', 'fixmatch_so2sat', 'fixmatch_jem_eurosat_small',
    'fixmatch_then_jem_eurosat_small', 'unet_dubai_small', 'sada_jem_eurosat', 'jempp_eurosat',
    'jem_eurosat_small', 'segmentation_dubai_small', 'berundanet_dubai_small',
    'w_net_dubai_small', 'swd_transfer_eurosat_airsar', 'supervised_eurosat_batch_norm',
    'supervised_so2sat', 'jem_so2sat', 'berundanet_so2sat', 'supervised_aid', 'jem_aid',
    'berundanet_aid', 'supervised_ucmerced', 'jem_ucmerced', 'berundanet_ucmerced',
    'seg_jem_dubai_small', 'jem_eurosat', 'supervised_eurosat',
)  # fmt: skip
TRAINED = [path for path in CONFIGS if path.stem not in OPENED]
# One of the two steps is in the first phase, where there are two.
AT_MOST_ONE = ('method.supervised_steps', 'method.source_steps')


@pytest.fixture(scope='module')
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Archives in the layouts of the data sets with ten images of each class."""
    folder = tmp_path_factory.mktemp('data')
    so2sat_files.write_version(folder / 'So2Sat', 'v2', 34)
    return {
        'eurosat': write_zip(folder / 'EuroSAT.zip', eurosat_members(10)),
        'eurosat_ms': write_zip(folder / 'EuroSAT_MS.zip', eurosat_ms_members(10)),
        'airsar': write_scene(folder),
        'so2sat': folder / 'So2Sat',
        'aid': write_zip(folder / 'AID.zip', scenes('AID', aid.CLASS_NAMES, 600)),
        'ucmerced': write_zip(
            folder / 'UCM.zip', scenes('UCMerced_LandUse/Images', ucmerced.CLASS_NAMES, 32)
        ),
        'pixel_folder': tiles.write_files(folder / 'Dubai.zip', tiles.dubai_tiles()),
        'flair': tiles.write_files(folder / 'FLAIR.zip', tiles.flair()),
        'minifrance': tiles.write_files(folder / 'MiniFrance.zip', tiles.france()),
        'vaihingen': tiles.write_files(folder / 'Vaihingen.zip', tiles.vaihingen(24, 24)),
        'geonrw': tiles.write_files(folder / 'GeoNRW', tiles.geonrw(24)),
        'dfc2020': tiles.write_files(
            folder / 'DFC2020', tiles.dfc2020({'test': 8, 'validation': 1})
        ),
        'christchurch': tiles.write_files(folder / 'CASD.zip', tiles.christchurch(24, 24)),
    }


def scenes(top: str, names: tuple[str, ...], size: int) -> dict[str, bytes]:
    """Ten images of each class, all of a class alike."""
    images = {name: encode(pixels(n, size, size), 'JPEG') for n, name in enumerate(names)}
    return {
        f'{top}/{name}/{name.lower()}_{i + 1}.jpg': images[name]
        for name in names
        for i in range(10)
    }


def tiny(config: ConfigDict, archives: dict[str, Path]) -> ConfigDict:
    known = dict(flatten(config))
    for key in AT_MOST_ONE:
        if key in known:
            set_key(config, key, min(known[key], 1))
    names = (config.data.name, config.method.name, config.model.name)
    more = {key: value for name in names for key, value in TINY_OF.get(name, {}).items()}
    if not known.get('data.labelled_in_all'):
        more = {**more, 'data.labelled_in_all': 0}
    for key, value in {**TINY, **more}.items():
        if key in known:
            set_key(config, key, value)
    return at_hand(config, archives)


def at_hand(config: ConfigDict, archives: dict[str, Path]) -> ConfigDict:
    """The config with the archives as the roots of its data sets."""
    for group in ('data', 'source'):
        if group in config and config[group].name in archives:
            name = config[group].name
            if name == 'pixel_folder' and config[group].images_pattern.startswith('flair'):
                name = 'flair'
            root = str(archives[name])
            config[group].update({'source': 'files', 'root': root})
    return config


def test_there_are_configs() -> None:
    assert CONFIGS


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_says_what_it_is(path: Path, archives: dict[str, Path]) -> None:
    config = at_hand(load_config(str(path)), archives)
    check_config(config)
    assert json.loads(to_json(config))['data']['name'] == config.data.name
    text = path.read_text()
    assert len(text.splitlines()) <= 120
    # The command that runs it, for whoever opens the file.
    assert f'--config=configs/{path.name}' in text


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_whatever_classifies_images_is_stopped_early(path: Path) -> None:
    config = load_config(str(path))
    if 'logits' not in METHODS[config.method.name].abilities:
        return  # pixels, syntheses and densities without classes
    # Where the last phase makes a classifier generative, it is the most accurate before it is that.
    continues = config.method.name == 'fixmatch_jem' or config.method.get('supervised_steps')
    assert config.evaluate.checkpoint == ('last' if continues else 'best')


@pytest.mark.parametrize(
    ('name', 'images'),
    [('eurosat', 19_440), ('aid', 7_200), ('ucmerced', 1_512), ('so2sat', 317_129)],
)
def test_published_baselines_are_the_joint_models_network_and_epochs(
    name: str, images: int
) -> None:
    joint, plain, two = (
        load_config(str(CONFIGS[0].with_stem(f'{method}_{name}')))
        for method in ('jem', 'supervised', 'berundanet')
    )
    assert joint.model.norm == 'none'
    for baseline in (plain, two):
        assert baseline.model.to_dict() == joint.model.to_dict()
        assert baseline.optimizer.to_dict() == joint.optimizer.to_dict()
        assert baseline.steps == joint.steps
    assert joint.steps == math.ceil(200 * images / joint.batch_size)


@pytest.mark.parametrize('name', OPENED)
def test_config_that_is_opened_alone_finds_its_places(
    name: str, tmp_path: Path, archives: dict[str, Path]
) -> None:
    config = tiny(load_config(str(CONFIGS[0].with_stem(name))), archives)
    split = prepare(config, tmp_path).splits
    assert min(len(split.labelled), len(split.validation), len(split.test)) > 0


@pytest.mark.parametrize('path', TRAINED, ids=lambda path: path.stem)
def test_config_trains_two_steps_and_evaluates(
    path: Path, tmp_path: Path, archives: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, 'GRID_SAMPLES', 24)
    # A small recipe has the abilities of the large one, whose evaluation is tested: training alone.
    large = path.with_stem(path.stem.removesuffix('_small'))
    trained_alone = large != path and large in CONFIGS
    if trained_alone:
        monkeypatch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
    config = tiny(load_config(str(path)), archives)
    out = train(config, tmp_path / 'run')
    found = rows(tmp_path / 'run')
    assert [row['step'] for row in found] == list(range(1, config.steps + 1))
    assert all(math.isfinite(row['loss']) for row in found)
    if trained_alone:
        return
    numbers = json.loads((out / 'evaluation.json').read_text())
    assert all(math.isfinite(value) for value in numbers.values())
    if 'logits' in METHODS[config.method.name].abilities:
        assert 'validation_accuracy' in found[-1]
        assert 0.0 <= numbers['accuracy'] <= 1.0
        assert (out / 'confusion_matrix.png').stat().st_size > 0
    elif 'pixel_logits' in METHODS[config.method.name].abilities:
        assert 'validation_mean_iou' in found[-1]
        assert 0.0 <= numbers['pixel_accuracy'] <= 1.0
    elif 'synthesise' in METHODS[config.method.name].abilities:
        assert 'validation_texture_match' in found[-1]
        assert (out / 'synthesis.png').stat().st_size > 0
    else:
        assert 'validation_log_density' in found[-1]
        assert (out / 'log_density.png').stat().st_size > 0
    for name in ('config.json', 'splits.json', f'checkpoints/{config.steps}', 'tensorboard'):
        assert (tmp_path / 'run' / name).exists() or (name == 'tensorboard' != config.tensorboard)
