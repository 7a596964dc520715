"""The printed table."""

from __future__ import annotations

from benchmarks.table import number_text, spread_text, table
from tests.benchmarks.fabricated import suite_record


def test_the_table_has_the_numbers_of_a_record():
    heading, _, row, *rest = table(suite_record()).splitlines()
    for name, value in {
        'steps/s': '2 (1.8-2.2)',
        'images/s': '96',
        'compile s': '12.2',
        'peak memory': '1.25 GB',
        'FLOP/step': '240 G',
        'of ceiling': '48%',
        'vs reference style': '0.71x (0.64-0.78)',
        'vs best effort': '2.50x (2.25-2.75)',
    }.items():
        # Columns are aligned to the right.
        end = heading.index(name) + len(name)
        assert row[:end].endswith(value), name
    assert any('float32 matrix product 1 TFLOP/s' in line for line in rest)


def test_a_peer_that_has_not_the_method_is_a_dash():
    record = suite_record()
    record['numbers']['jem_ratio_best_effort'] = None
    assert table(record).splitlines()[2].endswith(' -')


def test_equal_notes_share_a_line():
    record = suite_record()
    record['suite']['notes'] = ['jem: from afar', 'supervised: from afar', 'jem: other: thing']
    assert table(record).splitlines()[-2:] == ['jem, supervised: from afar', 'jem: other: thing']


def test_numbers_have_no_exponents():
    assert [number_text(v) for v in (0.0123, 2.345, 99.9, 123456.7)] == [
        '0.0123', '2.35', '99.9', '123,457',
    ]  # fmt: skip
    assert spread_text({'x': 2.0, 'x_low': 1.5, 'x_high': 2.25}, 'x') == '2 (1.5-2.25)'
