"""Metrics of a run: rows that survive a kill, and TensorBoard files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from eojax.errors import UserError
from eojax.messages import say
from eojax.training.progress import Progress, read_metrics


def written(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]


def test_rows_are_one_json_object_each(tmp_path: Path) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=False) as progress:
        progress.write(2, {'loss': 0.5, 'phase': 'joint'})
        assert written(tmp_path) == [{'step': 2, 'loss': 0.5, 'phase': 'joint'}]  # at once
        progress.write(4, {'loss': float('nan'), 'accuracy': float('inf')})
    # Strict JSON knows no NaN.
    assert written(tmp_path)[1] == {'step': 4, 'loss': None, 'accuracy': None}


def test_a_resumed_run_drops_rows_that_will_come_again(tmp_path: Path) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=False) as progress:
        for step in (2, 4, 6):
            progress.write(step, {'loss': float(step)})
        progress.write(2, {'event': 'diverged', 'at': 8})
        progress.write(8, {'event': 'diverged', 'at': 9})
    with open(tmp_path / 'metrics.jsonl', 'a') as file:
        file.write('{"step": 6, "lo')  # cut off by a kill
    with Progress(tmp_path, 10, 4, tensorboard=False) as progress:
        progress.write(6, {'loss': 7.0})
    found = [(row['step'], row.get('loss', row.get('at'))) for row in written(tmp_path)]
    assert found == [(2, 2.0), (4, 4.0), (2, 8), (8, 9), (6, 7.0)]


@pytest.mark.parametrize('rest', [b'\x00\x00\xff', b'12\n', b'null\n', b'{"loss": 1}\n', b'\n'])
def test_what_is_no_row_ends_the_rows(tmp_path: Path, rest: bytes) -> None:
    file = tmp_path / 'metrics.jsonl'
    file.write_bytes(b'{"step": 1}\n{"step": 2}\n' + rest)
    assert read_metrics(file) == [{'step': 1}, {'step': 2}]


def test_silent_writes_and_shows_nothing(tmp_path: Path, capsys) -> None:
    with Progress(tmp_path, 10, 3, tensorboard=True, silent=True) as progress:
        progress.write(4, {'loss': 1.0})
        progress.picture(4, 'samples', np.zeros((2, 2, 3), np.uint8))
        progress.at(5)
        progress.rewind(3)
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr().err == ''


def test_the_bar_shows_loss_accuracy_and_images(tmp_path: Path, capsys) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=False) as progress:
        progress.write(5, {'loss': 0.123456, 'accuracy': 0.5, 'images_per_second': 1234.0})
        progress.at(5)
    error = capsys.readouterr().err
    assert '5/10' in error
    assert 'loss=0.123, accuracy=0.5, images/s=1234' in error


def test_the_bar_goes_on_from_where_a_rollback_brought_it(tmp_path: Path) -> None:
    with Progress(tmp_path, 100, 0, tensorboard=False) as progress:
        bar = progress._bar
        bar.mininterval, bar.miniters, bar.dynamic_miniters = 0.0, 1, False
        progress.at(80)
        progress.rewind(50)
        assert bar.n == bar.last_print_n == 50
        progress.at(60)
        assert bar.last_print_n == 60  # shown


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=False) as progress:
        (tmp_path / 'metrics.jsonl').mkdir()
        with pytest.raises(UserError, match=r'metrics\.jsonl cannot be written: Is a directory'):
            progress.write(1, {'loss': 1.0})


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no /dev/full on this system')
def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=False) as progress:
        # Every write to this device fails as a full disk does.
        (tmp_path / 'metrics.jsonl').symlink_to('/dev/full')
        with pytest.raises(UserError, match='cannot be written: No space left'):
            progress.write(1, {'loss': 1.0})


def _events(folder: Path) -> list:
    from tensorboardX.proto.event_pb2 import Event

    events = []
    for file in sorted(folder.iterdir(), key=lambda f: int(f.name.rsplit('.', 1)[1])):
        data, at = file.read_bytes(), 0
        while at < len(data):  # length, its checksum, the event, its checksum
            size = int.from_bytes(data[at : at + 8], 'little')
            event = Event()
            event.ParseFromString(data[at + 12 : at + 12 + size])
            events.append(event)
            at += 16 + size
    return events


def test_tensorboard_has_scalars_and_pictures_at_once(tmp_path: Path) -> None:
    with Progress(tmp_path, 10, 0, tensorboard=True) as progress:
        progress.write(2, {'loss': 0.5, 'phase': 'joint', 'accuracy': float('nan')})
        progress.picture(2, 'samples', np.full((4, 6, 3), 7, np.uint8))
        events = _events(tmp_path / 'tensorboard')  # before it is closed
    values = [(e.step, v) for e in events for v in e.summary.value]
    assert [(step, v.tag) for step, v in values] == [(2, 'loss'), (2, 'samples')]
    assert values[0][1].simple_value == 0.5
    assert (values[1][1].image.height, values[1][1].image.width) == (4, 6)


def test_a_second_file_hides_later_steps_and_keeps_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboardX.proto.event_pb2 import SessionLog

    for start in (0, 3):
        # The second machine's clock is years behind.
        monkeypatch.setattr('time.time', lambda now=1e9 - start * 1e7: now)
        with Progress(tmp_path, 10, start, tensorboard=True) as progress:
            progress.write(start + 2, {'loss': float(start)})
    folder = tmp_path / 'tensorboard'
    names = sorted(file.name for file in folder.iterdir())  # as TensorBoard reads them
    assert [name.rsplit('.', 1)[1] for name in names] == ['0', '3']
    events = _events(folder)
    assert [e.step for e in events if e.summary.value] == [2, 5]
    starts = [e.step for e in events if e.session_log.status == SessionLog.START]
    assert starts[0] == 1
    assert starts[-1] == 4


def test_say(capsys) -> None:
    say('a line')
    assert capsys.readouterr().err == 'eojax: a line\n'
