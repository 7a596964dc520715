"""Tables of text."""

from __future__ import annotations

from eojax.tables import markdown_table, plain_table


def test_columns_of_a_plain_table_are_equally_wide():
    assert plain_table([('a', 'b'), ('long', '1')]) == ['a     b', 'long  1']
    assert plain_table([('a', 'b'), ('long', '1')], left=(0, 1)) == ['a     b', 'long  1']
    assert plain_table([('a', 'b'), ('long', 'c d')], left=(0, 1)) == ['a     b', 'long  c d']


def test_a_markdown_table_reads_as_text():
    rows = [('config', 'x'), ('a', '1.00'), ('longer one', '10.00')]
    assert markdown_table(rows).split('\n') == [
        '| config     |     x |',
        '|------------|------:|',
        '| a          |  1.00 |',
        '| longer one | 10.00 |',
    ]
    assert markdown_table([('x',), ('1',)], left=()) == '|   x |\n|----:|\n|   1 |'
