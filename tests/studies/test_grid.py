"""Grids of runs: what is run, what is resumed, what is left alone, and what failures do."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from eojax.config.base import from_json
from eojax.data.splits import Rule, Splits
from eojax.errors import UserError
from eojax.runs import lock, provenance
from eojax.studies.grid import process as grid_process
from eojax.studies.grid import run_record
from eojax.studies.grid.cells import (
    Cell,
    check,
    check_finished,
    is_finished,
    row_of,
    rows_of,
    to_evaluate,
)
from eojax.studies.grid.runner import (
    Ended,
    Listener,
    duration,
    finish,
    measure_calibration,
    run_grid,
    start_process,
)
from eojax.studies.grid.tables import unlike_data
from tests.apps.finished_runs import changed, write_finished
from tests.studies.grid_commands import here, never
from tests.training_runs import (
    assert_same_bits,
    rows,
    saved_state,
    small_config,
    steps_saved,
    stop_at,
)

CONFIG = small_config('supervised', data__num_images=100, steps=6, checkpoint_every=3)


def cells_in(folder: Path, num: int = 3, **changes) -> list[Cell]:
    return [
        Cell(
            folder / str(seed), changed(CONFIG, seed=seed, **changes), {'config': 'a', 'seed': seed}
        )
        for seed in range(num)
    ]


class Fake:
    """A `Start` that trains nothing: the run ends with the code of its seed, 0 if it has none."""

    def __init__(self, **codes: int) -> None:
        self.codes = {int(seed.removeprefix('seed')): code for seed, code in codes.items()}
        self.started: list[int] = []

    def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
        config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
        values = from_json(config)
        self.started.append(values.seed)
        code = self.codes.get(values.seed, 0)
        if code == 0:
            write_finished(folder, values, accuracy=0.5 + values.seed / 100, recall_River=0.1)
        return code


def test_a_stopped_grid_goes_on_where_it_was_and_leaves_the_finished_alone(tmp_path, monkeypatch):
    cells = cells_in(tmp_path / 'grid', num=2)
    stop_at(monkeypatch, 4, signal.SIGTERM)
    ended = run_grid(cells[:1], start=here)
    assert ended == Ended([], signal.SIGTERM)
    assert steps_saved(cells[0].folder)[-1] == 4
    assert not is_finished(cells[0])

    told: list[int] = []
    ended = run_grid(cells, lambda found: told.append(len(found)), start=here)
    assert told == [1, 2]
    assert ended.stopped == 0
    assert [row['seed'] for row in ended.rows] == [0, 1]
    for row, cell in zip(ended.rows, cells, strict=True):
        numbers = json.loads((cell.folder / 'evaluation' / 'evaluation.json').read_text())
        assert row['accuracy'] == numbers['accuracy']
        assert (row['ece'], row['nll']) == (numbers['ece'], numbers['nll'])
        assert row['auroc_constant'] == numbers['auroc_constant']
        assert row['steps'] == 6
        assert row['error'] is None
        assert row['hardware']['device'] == 'cpu'
        assert row['versions']['jax']
        assert row['seconds'] > 0
        curve = json.loads(grid_process.reliability_file(cell.folder).read_text())
        assert curve['ece'] == pytest.approx(row['ece'], abs=1e-6)
        assert sum(curve['bins']['counts']) == row['test_images']
    # The first was run twice, and its row tells of both.
    first = run_record.read(cells[0].folder)
    assert len(first.parts) == 2
    assert ended.rows[0]['seconds'] == pytest.approx(
        sum(p['seconds'] for p in first.parts), abs=0.1
    )

    alone = cells[0]._replace(folder=tmp_path / 'alone')
    run_grid([alone], start=here)
    assert_same_bits(saved_state(cells[0].folder), saved_state(alone.folder))
    assert rows(cells[0].folder) == rows(alone.folder)

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'grid').rglob('*')}
    again = run_grid(cells, start=never)
    assert again.rows == ended.rows
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / 'grid').rglob('*')}


def test_a_divergence_is_told_in_the_runs_row_and_the_others_go_on(tmp_path, capsys):
    cells = cells_in(tmp_path, num=2)
    ill = changed(cells[0].config, recovery__tries=0, recovery__max_loss=1e-9)
    cells[0] = cells[0]._replace(config=ill)

    def start(arguments: Sequence[str], listener: Listener) -> int:
        return (here if str(cells[0].folder) in arguments[1] else Fake())(arguments, listener)

    ended = run_grid(cells, start=start)
    assert 'training diverged' in ended.rows[0]['error']
    assert ended.rows[0]['accuracy'] is None
    assert ended.rows[1]['error'] is None
    assert ended.rows[1]['accuracy'] == pytest.approx(0.51)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        finish(ended)
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f'eojax: {cells[0].folder}: training diverged')


def test_runs_that_die_are_told_of_and_run_again_the_next_time(tmp_path):
    cells = cells_in(tmp_path)
    start = Fake(seed0=-signal.SIGKILL, seed1=7)
    ended = run_grid(cells, start=start)
    assert 'SIGKILL' in ended.rows[0]['error']
    assert 'exit code 7' in ended.rows[1]['error']
    assert ended.rows[2]['error'] is None
    assert rows_of(cells) == ended.rows
    start = Fake()
    ended = run_grid(cells, start=start)
    assert start.started == [0, 1]
    assert [row['error'] for row in ended.rows] == [None] * 3
    finish(ended)  # and it is no longer an error


def test_a_signal_to_the_run_alone_stops_the_grid(tmp_path):
    cells, start = cells_in(tmp_path), Fake(seed1=128 + signal.SIGTERM)
    ended = run_grid(cells, start=start)
    assert ended.stopped == signal.SIGTERM
    assert start.started == [0, 1]
    assert [row['seed'] for row in ended.rows] == [0]
    with pytest.raises(SystemExit) as stopped:
        finish(ended)
    assert stopped.value.code == 143


def test_a_signal_between_runs_stops_the_grid_and_handlers_come_back(tmp_path):
    cells, start = cells_in(tmp_path), Fake()
    former = signal.getsignal(signal.SIGINT)

    def interrupted(arguments: Sequence[str], listener: Listener) -> int:
        code = start(arguments, listener)
        signal.raise_signal(signal.SIGINT)
        return code

    ended = run_grid(cells, start=interrupted)
    assert (ended.stopped, start.started) == (signal.SIGINT, [0])
    assert signal.getsignal(signal.SIGINT) is former


def test_a_run_in_its_own_process_saves_and_stops_with_the_grid(tmp_path):
    (cell,) = cells_in(tmp_path, num=1, steps=10**6, log_every=1, checkpoint_every=10**6)
    metrics, over = cell.folder / 'metrics.jsonl', threading.Event()

    def interrupt() -> None:
        while not over.wait(0.05):
            if metrics.exists() and metrics.stat().st_size:
                os.kill(os.getpid(), signal.SIGINT)
                return

    watching = threading.Thread(target=interrupt)
    watching.start()
    try:
        ended = run_grid([cell], start=start_process)
    finally:
        over.set()
        watching.join()
    assert ended == Ended([], signal.SIGINT)
    assert steps_saved(cell.folder)[-1] > 0
    (part,) = run_record.read(cell.folder).parts
    assert part['hardware'] == provenance.hardware()
    assert part['seconds'] > 0


def test_a_run_hears_of_the_end_of_its_grid(monkeypatch):
    heard = threading.Event()
    former = signal.signal(signal.SIGTERM, lambda number, frame: heard.set())
    reader, writer = os.pipe()
    try:
        listening = threading.Thread(target=grid_process.stop_when_alone, args=(reader,))
        listening.start()
        assert not heard.is_set()
        os.close(writer)
        listening.join()
        assert heard.wait(10)
    finally:
        signal.signal(signal.SIGTERM, former)
        os.close(reader)


def test_only_an_evaluation_of_the_last_step_finishes_a_run(tmp_path):
    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, cell.config, step=5, accuracy=0.5)
    assert not is_finished(cell)
    assert rows_of([cell]) == []
    write_finished(cell.folder, cell.config, accuracy=0.5)
    assert is_finished(cell)


def test_a_run_that_another_command_trains_is_left_to_it(tmp_path, capsys):
    (cell,) = cells_in(tmp_path, num=1)
    cell.folder.mkdir()
    part = {'commit': None, 'seconds': 0.0}
    theirs = run_record.RunRecord([part], None)
    run_record._write(cell.folder, theirs)

    def start(arguments: Sequence[str], listener: Listener) -> int:
        return 1  # as the lock refuses it

    with lock.hold(cell.folder):
        ended = run_grid([cell], start=start)
        assert run_record.read(cell.folder) == theirs
    assert ended == Ended([], 0)
    assert 'is left to another process' in capsys.readouterr().err
    # Once nobody holds it, it is a failure of this one.
    assert 'exit code 1' in run_grid([cell], start=start).rows[0]['error']


def _row_of_splits(folder: Path, seed: int, config: str, test: str, places: int) -> dict:
    folder.mkdir()
    part = {'places': places, 'sha256': 'x'}
    parts = {**dict.fromkeys(Splits._fields, part), 'test': {'places': 5, 'sha256': test}}
    record = {'rule': Rule(seed)._asdict(), 'parts': parts, 'class_counts': []}
    (folder / 'splits.json').write_text(json.dumps(record))
    return {'folder': str(folder), 'seed': seed, 'config': config, 'data': 'd', 'error': None}


def test_runs_of_other_places_are_told_of(tmp_path):
    rows = [
        _row_of_splits(tmp_path / 'a0', 0, 'a', 'first', 10),
        _row_of_splits(tmp_path / 'b0', 0, 'b', 'first', 10),
        _row_of_splits(tmp_path / 'a1', 1, 'a', 'second', 10),
    ]
    assert unlike_data(rows) == []
    assert unlike_data([{**rows[0], 'folder': 'nowhere'}]) == []
    (first,) = unlike_data([*rows, _row_of_splits(tmp_path / 'b1', 1, 'b', 'third', 10)])
    assert first.endswith(f'{tmp_path}/a1 and {tmp_path}/b1')
    (second,) = unlike_data([*rows, _row_of_splits(tmp_path / 'a2', 2, 'a', 'fourth', 11)])
    assert second == (
        f'not of the same data: {tmp_path}/a0 of 25 places and {tmp_path}/a2 of 27 places'
    )


def _evaluation_of(cell: Cell, step: int) -> None:
    file = cell.folder / 'evaluation' / 'evaluation.json'
    file.write_text(json.dumps({'step': step, 'accuracy': 0.5}))


def test_an_evaluation_that_was_made_on_the_way_finishes_no_run(tmp_path):
    """`eojax evaluate` wrote it at step 3, and the run was killed between step 6 and its own."""
    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, cell.config)
    _evaluation_of(cell, 3)
    assert not is_finished(cell)
    assert rows_of([cell]) == []
    with pytest.raises(UserError, match='is of step 3, not of step 6, the last; train it'):
        check_finished(cell.folder, cell.config.to_dict())
    best = cell._replace(config=changed(cell.config, evaluate__checkpoint='best'))
    write_finished(best.folder, best.config)
    _evaluation_of(best, 3)
    assert is_finished(best)  # where no checkpoint says which step was the best
    (cell.folder / 'best' / '4').mkdir(parents=True)
    assert not is_finished(best)
    assert 'not of step 4, the best in validation' in to_evaluate(best)
    _evaluation_of(best, 4)
    assert is_finished(best)
    _evaluation_of(best, 6)  # of the last state, as `eojax evaluate --checkpoint=last` writes it
    assert not is_finished(best)


def test_a_run_that_is_to_be_evaluated_otherwise_is_evaluated_anew(tmp_path, capsys):
    cells, start = cells_in(tmp_path, num=2), Fake()
    for cell in cells:
        write_finished(cell.folder, cell.config, accuracy=0.1)
        (cell.folder / 'checkpoints' / '6').mkdir(parents=True)
    same = [c._replace(config=changed(c.config, evaluate__batch_size=7)) for c in cells]
    check(same)
    run_grid(same, start=never)
    capsys.readouterr()
    other = [c._replace(config=changed(c.config, evaluate__outlier_images=30)) for c in cells]
    check(other)
    ended = run_grid(other, start=start)
    assert start.started == [0, 1]
    assert [row['accuracy'] for row in ended.rows] == [0.5, 0.51]
    told = capsys.readouterr().err
    assert f'2 runs to evaluate anew, such as {cells[0].folder}: it was evaluated otherwise' in told
    assert 'evaluate.outlier_images: 20 -> 30' in told
    run_grid(other, start=never)
    # To evaluate it once more it would have to be trained once more.
    (cells[0].folder / 'checkpoints' / '6').rmdir()
    with pytest.raises(UserError, match=r'outlier_images: 30 -> 20.*its checkpoints are gone'):
        check(cells)


def test_an_evaluation_that_is_made_anew_is_gone_where_that_is_ended(tmp_path, monkeypatch):
    def ended(config, folder, held, when_checked):
        when_checked()
        raise UserError('the disk is full')

    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, cell.config, accuracy=0.5)
    monkeypatch.setattr(grid_process, 'train', ended)
    with pytest.raises(UserError, match='full'):
        grid_process.train_and_measure(cell.config, cell.folder)
    assert not is_finished(cell)
    (row,) = rows_of([cell])
    assert (row['accuracy'], row['error']) == (None, 'the disk is full')


def test_a_row_has_the_numbers_and_where_they_come_from(tmp_path):
    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, cell.config, accuracy=0.5, f1_macro=0.4, f1_River=0.1, fid=90.0)
    row = row_of(cell.folder, {'config': 'a', 'seed': 3})
    assert row['config'] == 'a'
    assert (row['accuracy'], row['f1_macro'], row['fid'], row['ece']) == (0.5, 0.4, 90.0, None)
    assert 'f1_River' not in row
    assert row['commit'] is row['hardware'] is row['seconds'] is None  # eojax.main trained it
    (cell.folder / 'evaluation' / 'evaluation.json').write_text('{"acc')
    with pytest.raises(UserError, match='is damaged'):
        row_of(cell.folder, {})


def test_a_refused_run_adds_no_part_and_keeps_what_it_took(tmp_path, monkeypatch):
    """The reason goes to its row; nothing has been done that a part could tell of."""

    def refused(config, folder, held, when_checked):
        raise UserError('the data are others')

    parts = [{'commit': None, 'seconds': 7.0}]
    run_record._write(tmp_path, run_record.RunRecord(parts, None))
    monkeypatch.setattr(grid_process, 'train', refused)
    with pytest.raises(UserError, match='others'):
        grid_process.train_and_measure(small_config('supervised'), tmp_path)
    assert run_record.read(tmp_path) == run_record.RunRecord(parts, 'the data are others')


def test_a_record_adds_up_its_parts():
    parts = [
        {'commit': 'a', 'hardware': {'device': 'x'}, 'date': '1', 'versions': {}, 'seconds': 2.5},
        {'commit': None, 'hardware': {'device': 'y'}, 'date': '2', 'versions': {}, 'seconds': 3.0},
        {'commit': 'b', 'hardware': {'device': 'z'}, 'date': '3', 'versions': {}, 'seconds': 0.0},
        {'commit': 'a', 'hardware': {'device': 'y'}, 'date': '4', 'versions': {}, 'seconds': 1.0},
    ]
    facts = run_record.RunRecord(parts, None).facts()
    assert facts['commit'] == 'a, b'
    assert facts['seconds'] == 6.5
    assert (facts['hardware'], facts['date']) == ({'device': 'y'}, '4')


def test_all_cells_are_checked_before_the_first_run(tmp_path):
    good, *bad = cells_in(tmp_path, num=4)
    bad = [cell._replace(config=changed(cell.config, data__labels_per_class='99')) for cell in bad]
    with pytest.raises(UserError, match=r'99, but class .* has only 7 training images') as caught:
        check([good, *bad])
    assert f'{bad[0].folder} and 2 more: ' in str(caught.value)
    assert not good.folder.exists()
    # What is finished needs no data.
    for cell in bad:
        write_finished(cell.folder, cell.config, accuracy=0.5)
    check([good, *bad])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'steps': 0}, 'steps must be at least 1'),
        ({'evaluate__outliers': 'nonsense'}, 'outliers'),
        ({'data__test_fraction': 0.999}, 'too few for the three splits'),
    ],
)
def test_what_cannot_be_run_is_one_line(tmp_path, changes, message):
    (cell,) = cells_in(tmp_path, num=1, **changes)
    with pytest.raises(UserError, match=message):
        check([cell])


def test_folders_of_other_configs_are_refused(tmp_path):
    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, changed(cell.config, steps=60), accuracy=0.5)
    with pytest.raises(UserError, match=r'another config \(steps: 60 -> 6\)'):
        check([cell])
    with pytest.raises(UserError, match='the same folder'):
        check([cell, cell])


def test_a_check_starts_no_devices(tmp_path):
    (cell,) = cells_in(tmp_path, num=1)
    write_finished(cell.folder, cell.config)
    (cell.folder / 'metrics.jsonl').unlink()
    (cell.folder / 'evaluation' / 'evaluation.json').unlink()
    lines = (
        'import sys; from pathlib import Path; from eojax.studies.grid.cells import Cell, check',
        'from eojax.config.base import from_json; folder = Path(sys.argv[1])',
        'check([Cell(folder, from_json(folder / "config.json"), {})])',
    )
    environment = {**os.environ, 'JAX_PLATFORMS': 'none_such'}
    subprocess.run(
        [sys.executable, '-c', '\n'.join(lines), str(cell.folder)], env=environment, check=True
    )


def test_the_rest_is_estimated_from_runs_of_the_same_config(tmp_path, capsys):
    cells = cells_in(tmp_path, num=4)
    cells[3] = cells[3]._replace(labels={'config': 'b'})
    write_finished(cells[0].folder, cells[0].config, accuracy=0.5)
    run_record.end(cells[0].folder, 0.0)
    part = {'commit': None, 'hardware': {}, 'date': '', 'versions': {}, 'seconds': 3000.0}
    record = {'parts': [part], 'error': None}
    (cells[0].folder / 'provenance.json').write_text(json.dumps(record))
    run_grid(cells, start=Fake())
    told = capsys.readouterr().err
    assert '1 of 4 runs are finished already' in told
    # Three more of 50 minutes each; of `b` there is none to go by.
    assert f'run 2 of 4: {cells[1].folder}; about 2 h 30 min left' in told


@pytest.mark.parametrize(
    ('seconds', 'text'),
    [(0.4, '0 s'), (61, '61 s'), (150, '2 min'), (7800, '2 h 10 min'), (273_600, '3 d 4 h')],
)
def test_durations_are_for_people(seconds, text):
    assert duration(seconds) == text


def test_calibration_is_measured_where_it_is_missing_alone(tmp_path, capsys):
    folders = [write_finished(tmp_path / name, CONFIG) for name in 'abc']
    grid_process.reliability_file(folders[1]).write_text('{}')
    asked: list[Sequence[str]] = []

    def start(arguments: Sequence[str], listener: Listener) -> int:
        asked.append(arguments)
        return len(asked) - 1

    assert measure_calibration(folders, start) == 0
    assert [f'--workdir={folder}' for folder in (folders[0], folders[2])] == [a[1] for a in asked]
    assert all('--measure' in arguments for arguments in asked)
    assert f'calibration of {folders[2]} is left out' in capsys.readouterr().err
