"""The pages of the documentation: links, lengths, and that no page is left out of the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import yaml
from rasterio.transform import Affine

from tests.quick import shorten_repairs
from tests.weights.tiny_files import ship_tiny_file

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    page for folder in ('.', 'docs', 'benchmarks', 'benchmarks/results', 'launch')
    for page in (ROOT / folder).glob('*.md')
)  # fmt: skip
LINK = re.compile(r'\]\(([^)\s]+)\)|src="([^"]+)"')
FENCE = re.compile(r'^(```.*?^```|`[^`\n]+`)', re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    for groups in LINK.findall(FENCE.sub('', page.read_text())):
        link = ''.join(groups)
        if '://' in link or link.startswith('mailto:'):
            continue
        place, _, anchor = link.partition('#')
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f'{page.name}: {link}'
        assert target.is_relative_to(ROOT), f'{page.name}: {link} leaves the project'
        if anchor and target.suffix == '.md':
            assert anchor in anchors_of(target), f'{page.name}: {link}'


def test_every_page_is_in_the_menu_of_the_site() -> None:
    sections = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']
    listed = [name for section in sections for names in section.values() for name in names]
    assert sorted(listed) == sorted(page.name for page in (ROOT / 'docs').glob('*.md'))


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    text = (ROOT / 'README.md').read_text()
    assert len(text.splitlines()) < 200
    missing = [
        page.name for page in (ROOT / 'docs').glob('*.md')
        if page.name != 'index.md' and f'docs/{page.name}' not in text
    ]  # fmt: skip
    assert not missing


def test_versions_agree() -> None:
    from eojax import __version__

    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text())
    assert citation['version'] == __version__
    assert f'version = {{{__version__}}}' in (ROOT / 'README.md').read_text()
    assert f'## {__version__}' in (ROOT / 'CHANGELOG.md').read_text()


def test_the_lines_of_python_in_the_readme_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 96, 96), np.uint8)
    place = {'crs': 'EPSG:32632', 'transform': Affine(10, 0, 5e5, 0, -10, 5e6)}
    with rasterio.open(
        tmp_path / 'S2.tif', 'w', driver='GTiff', width=96, height=96, count=3, dtype='uint8',
        photometric='RGB', **place,
    ) as file:  # fmt: skip
        file.write(pixels)
    monkeypatch.chdir(tmp_path)
    lines = re.search(r'```python\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    assert lines is not None
    ship_tiny_file('jem-eurosat-64', 32, tmp_path / 'shipped', monkeypatch)
    shorten_repairs(monkeypatch)
    names: dict[str, Any] = {}
    exec(compile(lines[1], 'README.md', 'exec'), names)
    assert names['images'].shape == (4, 32, 32, 3)
    assert set(names['run'].predict(names['images']).names) <= set(names['run'].class_names)
    assert (tmp_path / 'map' / 'class_map.tif').exists()
    assert 'log_density' in capsys.readouterr().out
