"""The reads of opening a prepared data set: headers, whatever the number of windows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from eojax.data.dataset import Places
from eojax.data.facts import Facts
from eojax.data.shards.grid import Grid
from eojax.data.shards.index import COLUMNS, Plan, open_prepared, plan_to_json

NUM = 20_000_000
DTYPES = {'names': 'S32', 'heights': '<i4', 'widths': '<i4', 'labels': '<i4', 'parts': '|i1'}


def resident_pages(folder: Path) -> int:
    """Bytes of the files below a folder that this process has read by mapping them."""
    text = Path('/proc/self/smaps').read_text()
    blocks = re.split(r'\n(?=[0-9a-f]+-[0-9a-f]+ )', text)
    mapped = [block for block in blocks if f'{folder}/' in block.splitlines()[0]]
    assert mapped
    return sum(1024 * int(re.search(r'^Rss:\s+(\d+)', block, re.M)[1]) for block in mapped)  # type: ignore[index]


@pytest.mark.skipif(not Path('/proc/self/smaps').is_file(), reason='only Linux tells')
def test_opening_reads_no_column(tmp_path: Path) -> None:
    (tmp_path / COLUMNS).mkdir()
    for field, dtype in DTYPES.items():
        # Files with holes: 980 MB that take no room.
        path = tmp_path / COLUMNS / f'{field}.npy'
        np.lib.format.open_memmap(path, 'w+', dtype, (NUM,)).flush()
    plan = Plan(Facts(class_names=('a',)), Grid(), NUM, 4096, 'zstd', '')
    files = {f'{COLUMNS}/{field}.npy': '' for field in DTYPES}
    (tmp_path / 'index.json').write_text(json.dumps({**plan_to_json(plan), 'sha256': files}))
    found = open_prepared(tmp_path)
    assert found.places.num == NUM
    assert set(Places._fields) - set(DTYPES) == {'annotated', 'groups'}
    assert resident_pages(tmp_path) < 2**20
    # A batch reads its own pages, and some around them.
    chosen = np.linspace(0, NUM - 1, 64).astype(int)
    assert (found.labels[chosen] == 0).all()
    assert resident_pages(tmp_path) < 2**24
