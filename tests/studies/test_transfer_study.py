"""The transfer study: what follows from one config, numbers by hand, figures, and mistakes."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from eojax.config.base import base_config, check_config, flatten, from_json, set_key
from eojax.data.sets.local_climate_zones import LOW_RISE, URBAN
from eojax.data.value_range import scale_to_unit
from eojax.evaluation.embeddings import embeddings_file, read_embeddings
from eojax.runs.opening import load_state
from eojax.runs.run import prepare
from eojax.studies.grid.runner import Listener, Start
from eojax.studies.transfer_study import command as transfer_study
from eojax.studies.transfer_study.table import comparisons, reference
from eojax.studies.transfer_study.variants import Variant, variant_config
from tests.apps.finished_runs import write_finished
from tests.studies.grid_commands import PROVENANCE, cells_of, here, one_error, run_grid_command
from tests.training_runs import steps_saved

_VALUES: dict[str, Any] = {
    'steps': 9, 'batch_size': 4, 'log_every': 3, 'evaluate_every': 0, 'checkpoint_every': 2,
    'keep_checkpoints': 1, 'tensorboard': False, 'data.sensor': 'sar', 'data.size': 16,
    'data.num_images': 340, 'source.seed': 1, 'source.size': 16, 'source.num_images': 340,
    'model.widths': (4, 4), 'model.strides': (2, 2), 'model.convolutions': 1,
    'method.source_steps': 5, 'method.source_batch_size': 4, 'method.embedding_size': 8,
    'method.num_projections': 8, 'method.alignment_weight': 3.0, 'method.augment': 'none',
    'method.target_rate_factor': 0.5, 'optimizer.learning_rate': 3e-3, 'evaluate.batch_size': 32,
}  # fmt: skip
_CONFIG = """
from tests.studies.test_transfer_study import small_study

def get_config():
    return small_study()
"""
_ACCURACY = {'swd_transfer': 0.6, 'fine_tune': 0.5, 'sar_only': 0.4}


def small_study(**changes: Any):
    """Four low-rise zones of 16 pixels, nine steps; `changes` by key, with `__` for the dot."""
    config = base_config('swd_transfer', 'convnet', 'landscape_zones', 'landscape_zones')
    values = {**_VALUES, 'data.classes': ','.join(LOW_RISE), 'source.classes': ','.join(LOW_RISE)}
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    return config


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the config."""
    (tmp_path / 'study.py').write_text(_CONFIG)
    return tmp_path


def _run(*arguments: str, start: Start | None = None, code: int = 0) -> None:
    run_grid_command(transfer_study.main, *arguments, start=start, code=code)


class Fake:
    """A `Start` that trains nothing: the accuracy tells the method, the seed and the variant."""

    def __init__(self, **codes: int) -> None:
        self.codes = codes
        self.started: list[str] = []

    def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
        config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
        self.started.append(f'{"embed " * ("--embed" in arguments)}{"/".join(folder.parts[-3:])}')
        code = self.codes.get(folder.name, 0)
        if '--embed' in arguments:
            _write_embeddings(folder)
        elif code == 0:
            values = from_json(config)
            spread = {'swd_transfer': 0.03, 'fine_tune': 0.01, 'sar_only': 0.0}
            accuracy = _ACCURACY[values.method.name] + spread[values.method.name] * values.seed
            accuracy -= 0.2 * (values.model.norm == 'batch')
            accuracy += 0.1 * values.method.get('contrastive_weight', 0.0)
            accuracy += 0.07 * (values.method.get('target_shares') == 'estimated')
            accuracy += 0.01 * (values.method.get('contrastive_size', 0) > 0)
            write_finished(folder, values, accuracy=accuracy, ece=0.1)
            record = {'parts': [PROVENANCE], 'error': None}
            (folder / 'provenance.json').write_text(json.dumps(record))
        return code


def _write_embeddings(folder: Path) -> None:
    numbers = np.random.default_rng(0).standard_normal((2, 2, 30, 5)).astype(np.float32)
    arrays = {
        f'{title}_{domain}': numbers[i, j]
        for i, title in enumerate(('before', 'after'))
        for j, domain in enumerate(('source', 'target'))
    }
    labels = np.arange(30) % 4
    np.savez(
        embeddings_file(folder), **arrays, class_names=np.asarray(LOW_RISE), source_labels=labels,
        target_labels=labels, before_distance=2.0, after_distance=0.5,
    )  # fmt: skip


def _rows(workdir: Path) -> list[dict[str, Any]]:
    return json.loads((workdir / 'table.json').read_text())


@pytest.mark.parametrize('method', ['swd_transfer', 'fine_tune', 'sar_only'])
def test_a_variants_config_is_that_of_the_study_but_for_what_it_varies(method):
    weight, head = (None, None) if method == 'sar_only' else (0.5, 7)
    shares = 'estimated' if method == 'swd_transfer' else None
    own = variant_config(small_study(), Variant('urban', method, 'batch', weight, head, shares))
    check_config(own)
    assert ('source' in own) == (method != 'sar_only')
    assert own.method.name == method
    assert own.model.norm == 'batch'
    assert own.data.classes == ','.join(URBAN)
    assert own.steps == 9  # the same number of updates, whatever they are spent on
    study = dict(flatten(small_study()))
    varied = {'method.name', 'model.norm', 'data.classes', 'source.classes',
              'method.contrastive_weight', 'method.contrastive_size',
              'method.target_shares'}  # fmt: skip
    for key, value in flatten(own):
        if key not in varied:
            assert value == study[key], key
    if weight is not None:
        assert own.method.contrastive_weight == 0.5
        assert own.method.contrastive_size == 7
        assert own.method.get('target_shares') == shares
        assert own.source.classes == own.data.classes


def test_runs_of_several_experiments_are_trained_once_and_seed_by_seed(files):
    fake = Fake()
    command = (f'--config={files}/study.py', f'--workdir={files}/grid', '--labelled=8,all')
    _run(*command, '--seeds=2', start=fake)
    variants = (
        'swd_transfer_instance', 'fine_tune_instance', 'sar_only_instance',
        'swd_transfer_batch', 'fine_tune_batch', 'swd_transfer_instance_supcon_1',
    )  # fmt: skip
    trained = [run for run in fake.started if not run.startswith('embed')]
    assert trained == [
        f'lowrise_{name}/{labelled}/seed_{seed}'
        for seed in (0, 1) for labelled in ('8', 'all') for name in variants_in_order(trained)
    ]  # fmt: skip
    assert set(variants_in_order(trained)) == set(variants)
    for row in _rows(files / 'grid'):
        config = from_json(Path(row['folder']) / 'config.json')
        assert config.seed == row['seed']
        assert config.data.labelled_in_all == (0 if row['labelled'] == 'all' else 8)
        assert config.data.labels_per_class == 'all'
        assert (config.method.name, config.model.norm) == (row['method'], row['norm'])
        assert config.method.get('contrastive_weight') == row['contrastive']
        assert (row['classes'], row['num_classes']) == ('lowrise', 4)
        assert row['commit'] == PROVENANCE['commit']
    _run(*command, '--seeds=2')  # starts nothing any more
    for row in _rows(files / 'grid'):  # as the devices have settled it
        file = Path(row['folder']) / 'config.json'
        file.write_text(file.read_text().replace('"dtype": "auto"', '"dtype": "float32"'))
        assert from_json(file).model.dtype == 'float32'
    _run(*command, '--seeds=2')
    more = Fake()
    _run(*command, '--seeds=3,1', '--experiments=contrastive', start=more)
    assert more.started == [
        f'lowrise_swd_transfer_instance{suffix}/{labelled}/seed_3'
        for labelled in ('8', 'all') for suffix in ('', '_supcon_1')
    ]  # fmt: skip


def variants_in_order(trained: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(run.partition('/')[0].removeprefix('lowrise_') for run in trained))


@pytest.mark.parametrize(
    ('experiment', 'expected'),
    [
        ('methods', {'swd_transfer_instance', 'fine_tune_instance', 'sar_only_instance'}),
        ('normalisation', {'swd_transfer_instance', 'fine_tune_instance', 'swd_transfer_none',
                           'fine_tune_none'}),
        ('contrastive', {'swd_transfer_instance', 'swd_transfer_instance_supcon_0.5',
                         'swd_transfer_instance_supcon_0.5_head_4'}),
        ('shares', {'swd_transfer_instance', 'swd_transfer_instance_shares_estimated'}),
    ],
)  # fmt: skip
def test_an_experiment_trains_what_it_needs(files, experiment, expected):
    fake = Fake()
    _run(f'--config={files}/study.py', f'--workdir={files}/grid', f'--experiments={experiment}',
         '--labelled=8', '--seeds=1', '--norms=instance,none', '--contrastive=0,0.5',
         '--heads=0,4', start=fake)  # fmt: skip
    trained = [run for run in fake.started if not run.startswith('embed')]
    assert set(variants_in_order(trained)) == expected
    assert len(trained) == len(expected)
    assert (files / 'grid' / f'{experiment}.png').exists()


def test_sets_of_classes_are_groups_of_both_domains(files):
    fake = Fake()
    _run(f'--config={files}/study.py', f'--workdir={files}/grid', '--experiments=methods',
         '--classes=all,urban', '--labelled=20', '--seeds=1', start=fake)  # fmt: skip
    rows = _rows(files / 'grid')
    assert {(row['classes'], row['num_classes']) for row in rows} == {('urban', 10), ('all', 17)}
    for row in rows:
        config = from_json(Path(row['folder']) / 'config.json')
        expected = ','.join(URBAN) if row['classes'] == 'urban' else ''
        assert config.data.classes == expected
        assert 'source' not in config or config.source.classes == expected
    assert '## landscape_zones, ten urban zones' in (files / 'grid' / 'table.md').read_text()


def test_the_table_has_means_standard_errors_and_paired_differences(files):
    workdir = files / 'grid'
    command = (f'--config={files}/study.py', f'--workdir={workdir}', '--labelled=8,all')
    _run(*command, '--seeds=3', start=Fake(), code=0)
    # Seed 2 of fine-tuning goes: the pairs are of the seeds that both have.
    gone = workdir / 'lowrise_fine_tune_instance' / '8' / 'seed_2'
    (gone / 'evaluation' / 'evaluation.json').unlink()
    _run('--table_only', f'--workdir={workdir}')
    lines = (workdir / 'table.md').read_text().splitlines()
    start = lines.index('### methods (instance normalisation, no SupCon): accuracy in %')
    header, _, few, every = lines[start + 2 : start + 6]
    assert cells_of(header) == [
        'labelled', 'SWD-transfer', 'fine-tuning', 'SAR only', 'SWD-transfer − fine-tuning',
        'SWD-transfer − SAR only',
    ]  # fmt: skip
    # 60, 63, 66: deviation 3, error 3 / sqrt(3). 50, 51 and, where it is there, 52.
    assert cells_of(few) == ['8', '63.00 ± 1.73', '50.50 ± 0.50 (2)', '40.00 ± 0.00',
                             '+11.00 ± 1.00 (2)', '+23.00 ± 1.73']  # fmt: skip
    assert cells_of(every)[2:5] == ['51.00 ± 0.58', '40.00 ± 0.00', '+12.00 ± 1.15']
    start = lines.index('### normalisation (no SupCon): accuracy in %')
    assert cells_of(lines[start + 5])[5:] == ['+20.00 ± 0.00', '+20.00 ± 0.00']
    title = '### contrastive pre-training (SWD-transfer, instance normalisation): accuracy in %'
    start = lines.index(title)
    assert cells_of(lines[start + 2])[1:] == ['no SupCon', 'SupCon 1', 'SupCon 1 − no SupCon']
    assert cells_of(lines[start + 4])[3] == '+10.00 ± 0.00'
    assert any('same number of optimisation steps' in line for line in lines)


def test_shares_and_heads_have_comparisons_of_their_own(files):
    workdir = files / 'grid'
    _run(f'--config={files}/study.py', f'--workdir={workdir}', '--labelled=8', '--seeds=2',
         '--experiments=methods,contrastive,shares', '--heads=0,4', start=Fake())  # fmt: skip
    lines = (workdir / 'table.md').read_text().splitlines()
    title = '### class shares of the target (SWD-transfer, instance normalisation): accuracy in %'
    start = lines.index(title)
    assert cells_of(lines[start + 2])[1:3] == [
        'source as it is',
        'source weighed to estimated shares',
    ]
    assert cells_of(lines[start + 4])[3] == '+7.00 ± 0.00'
    start = lines.index(
        '### contrastive pre-training (SWD-transfer, instance normalisation): accuracy in %'
    )
    assert cells_of(lines[start + 2])[1:4] == ['no SupCon', 'SupCon 1', 'SupCon 1 of 4 projections']
    assert cells_of(lines[start + 4])[4:] == ['+10.00 ± 0.00', '+11.00 ± 0.00']
    start = lines.index('### methods (instance normalisation, no SupCon): accuracy in %')
    assert cells_of(lines[start + 2])[1:4] == ['SWD-transfer', 'fine-tuning', 'SAR only']


def test_rows_and_tables_say_which_shares_the_methods_expect(files):
    command = (f'--config={files}/study.py', '--labelled=8', '--seeds=1', '--experiments=methods')
    told = 'compact low-rise=0.4,open low-rise=0.3,lightweight low-rise=0.2,large low-rise=0.1'
    for name, changes in (('plain', ()), ('told', (f'--config.method.expected_shares={told}',))):
        _run(*command, f'--workdir={files}/{name}', *changes, start=Fake())
    assert {row['expected_shares'] for row in _rows(files / 'plain')} == {'as_labelled'}
    assert 'expected shares' not in (files / 'plain' / 'table.md').read_text()
    assert {row['expected_shares'] for row in _rows(files / 'told')} == {told}
    lines = (files / 'told' / 'table.md').read_text().splitlines()
    header = next(line for line in lines if 'expected shares' in line)
    assert told in lines[lines.index(header) + 2]


def test_the_methods_are_compared_with_what_most_of_them_have():
    rows = [
        {'method': method, 'norm': norm, 'contrastive': weight,
         'head': None if weight is None else 0,
         'target_shares': 'as_source' if method == 'swd_transfer' else None}
        for method, norm, weight in (
            ('swd_transfer', 'batch', 0.5), ('fine_tune', 'batch', 0.5),
            ('sar_only', 'batch', None),
            ('swd_transfer', 'instance', 0.5), ('fine_tune', 'instance', 0.5),
            ('swd_transfer', 'batch', 0.0),
        )
    ]  # fmt: skip
    assert reference(rows) == ('swd_transfer', 'batch', 0.5, 0, 'as_source')
    found = {comparison.name: comparison for comparison in comparisons(rows)}
    keys = {name: [series.key[:2] for series in c.series] for name, c in found.items()}
    assert keys['methods'] == [('swd_transfer', 'batch'), ('fine_tune', 'batch'),
                               ('sar_only', 'batch')]  # fmt: skip
    assert len(found['normalisation'].series) == 4
    assert [series.key[2] for series in found['contrastive'].series] == [0.5, 0.0]
    assert list(comparisons([])) == []


def test_the_figures_are_pictures_and_one_seed_is_embedded(files):
    fake, workdir = Fake(), files / 'grid'
    command = (f'--config={files}/study.py', f'--workdir={workdir}', '--labelled=8,all')
    _run(*command, '--seeds=1,0', start=fake)
    assert [run for run in fake.started if run.startswith('embed')] == [
        f'embed lowrise_swd_transfer_instance/{labelled}/seed_0' for labelled in ('8', 'all')
    ]
    for name in ('methods', 'normalisation', 'contrastive', 'embedding'):
        picture = np.asarray(Image.open(workdir / f'{name}.png').convert('L'))
        assert picture.std() > 5, name
    for file in workdir.glob('*/*/seed_*/config.json'):
        first_aligned = file.match('*swd_transfer_*/*/seed_0/*')
        assert (from_json(file).keep_checkpoints > 1) == first_aligned


def test_a_stopped_study_writes_what_there_is_and_goes_on(files):
    command = (f'--config={files}/study.py', f'--workdir={files}/grid', '--labelled=8', '--seeds=2',
               '--experiments=methods')  # fmt: skip
    _run(*command, start=Fake(seed_1=128 + signal.SIGTERM), code=143)
    assert [row['seed'] for row in _rows(files / 'grid')] == [0, 0, 0]
    assert (files / 'grid' / 'methods.png').exists()
    fake = Fake()
    _run(*command, start=fake)
    assert sum('seed_1' in run for run in fake.started) == 3
    assert len(_rows(files / 'grid')) == 6


def test_a_failed_run_is_a_row_and_the_exit_code(files, capsys):
    command = (f'--config={files}/study.py', f'--workdir={files}/grid', '--labelled=8', '--seeds=2',
               '--experiments=contrastive')  # fmt: skip
    _run(*command, start=Fake(seed_1=1), code=1)
    rows = _rows(files / 'grid')
    assert [row['error'] is None for row in rows] == [True, False, True, False]
    assert 'the process of the run ended' in capsys.readouterr().err.splitlines()[-1]
    assert '- failed: ' in (files / 'grid' / 'table.md').read_text()


WRONG = {
    'nothing to train': ((), 'say what to train'),
    'nothing there': (('--table_only',), 'holds no trained runs'),
    'no such config': (('--config=nope.py',), 'config file not found: nope.py'),
    'another method': (('--config=configs/supervised_eurosat.py',), "a config of 'swd_transfer'"),
    'unknown key': (('--config={}/study.py', '--config.stepz=3'), "nearest is 'steps'"),
    'labels by key': (
        ('--config={}/study.py', '--config.data.labelled_in_all=3'), 'the grid sets data.labelled'
    ),
    'classes twice': (
        ('--config={}/study.py', '--classes=all', '--config.data.classes=water'), '--classes sets'
    ),
    'experiment': (('--config={}/study.py', '--experiments=norms'), "unknown experiment 'norms'"),
    'set of classes': (('--config={}/study.py', '--classes=rural'), "set of classes 'rural'"),
    'norm': (('--config={}/study.py', '--norms=layer'), "unknown model.norm 'layer'"),
    'weights': (('--config={}/study.py', '--contrastive=0,-1'), 'expected numbers from 0 on'),
    'weights twice': (('--config={}/study.py', '--contrastive=1,1.0'), 'one is given twice'),
    'heads': (('--config={}/study.py', '--heads=-1'), 'expected whole numbers from 0 on'),
    'shares': (
        ('--config={}/study.py', '--target_shares=estimatd'), "did you mean 'estimated'"
    ),
    'labelled': (('--config={}/study.py', '--labelled=0'), '--labelled=0: expected positive'),
    'labelled twice': (('--config={}/study.py', '--labelled=8,08'), 'one is given twice'),
    'too many labelled': (
        ('--config={}/study.py', '--labelled=9999', '--seeds=1'), 'data.labelled_in_all=9999, but'
    ),
    'no seed': (('--config={}/study.py', '--seeds=0'), 'expected how many'),
    'seeds': (('--config={}/study.py', '--seeds=1,x'), "'x' is no whole number"),
    'all steps on the source': (
        ('--config={}/study.py', '--config.steps=5', '--config.method.source_steps=5'),
        'leaves nothing of steps 5 for the target',
    ),
}  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_one_line_and_nothing_runs(files, capsys, arguments, message):
    typed = [argument.replace('{}', str(files)) for argument in arguments]
    _run(*typed, f'--workdir={files}/grid', code=1)
    assert message in one_error(capsys)
    assert not (files / 'grid').exists()


def test_sets_of_zones_are_of_data_that_have_them(files, capsys):
    (files / 'other.py').write_text(
        'from eojax.config.base import base_config\n\ndef get_config():\n'
        "    return base_config('swd_transfer', 'convnet', 'landscapes', 'landscape_zones')\n"
    )
    _run(f'--config={files}/other.py', '--classes=urban', f'--workdir={files}/grid', code=1)
    assert "which 'landscapes' does not have" in one_error(capsys)


def test_runs_of_another_study_are_refused(files, capsys):
    command = (f'--config={files}/study.py', f'--workdir={files}/grid', '--labelled=8',
               '--experiments=contrastive')  # fmt: skip
    _run(*command, '--seeds=1', start=Fake())
    capsys.readouterr()
    longer = ('--config.steps=12', '--config.method.source_steps=5')
    _run(*command, '--seeds=2', *longer, code=1)
    assert 'a run of another lowrise_swd_transfer_instance (steps: 9 -> 12)' in one_error(capsys)


def test_a_study_from_end_to_end(files):
    workdir = files / 'grid'
    _run(f'--config={files}/study.py', f'--workdir={workdir}', '--labelled=8', '--seeds=1',
         '--experiments=methods', start=here)  # fmt: skip
    rows = _rows(workdir)
    assert [row['method'] for row in rows] == ['swd_transfer', 'fine_tune', 'sar_only']
    assert all(0.0 <= row['accuracy'] <= 1.0 and row['steps'] == 9 for row in rows)
    assert (workdir / 'embedding.png').exists()
    folder = workdir / 'lowrise_swd_transfer_instance' / '8' / 'seed_0'
    assert 5 in steps_saved(folder)  # the first step of the alignment, of nine
    _check_embeddings(folder)


def _check_embeddings(folder: Path) -> None:
    """Against the method itself, at the checkpoints of both states."""
    found = read_embeddings(folder)
    assert found is not None
    assert found.class_names == LOW_RISE
    run = prepare(from_json(folder / 'config.json'), folder)
    for title, step in (('before', 5), ('after', 9)):
        (loaded, state), embedded = load_state(run, 'last', step), found.states[title]
        assert loaded.step == step
        for group, name, vectors, labels in (
            ('data', 'embedding', embedded.target, found.target_labels),
            ('source', 'source_embedding', embedded.source, found.source_labels),
        ):
            domain = run.domains[group]
            own = domain.dataset.subset(domain.splits.test)
            images = scale_to_unit(np.asarray(own.images), own.limits)
            expected = run.method.abilities[name](state, images, jax.random.key(0))
            np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(labels, own.labels)
    before, after = found.states['before'], found.states['after']
    assert np.abs(before.target - after.target).max() > 1e-4
    assert before.distance > 0.0
