"""The HTML of a report: text that is escaped by default, tables, pictures, and one page of it all.

Text that comes from files can hold anything. So nothing here joins strings into markup: `tag`
escapes what it is given, unless it is `Html`, which only the functions of this file make. The page
carries a policy that forbids the browser to load anything at all.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from PIL import Image

# A picture with more pixels or bytes than this is made smaller, and its caption says so.
_LONGEST_SIDE, _LARGEST_FILE = 4096, 6_000_000
_REDUCED_SIDE = 2000
_LEGIBLE_WIDTH = 800  # up to which a chart can be read on a phone as it is
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_SHARES = ('accuracy', 'ece', 'precision', 'recall', 'f1', 'fpr95', 'share')


class Html(str):
    """Markup, which is written as it is; any other string is text, and escaped."""


def tag(name: str, /, *content: str | None, **attributes: object) -> Html:
    """An element.

    Args:
      content: `Html`, or text that is escaped; None is left out.
      attributes: `_` stands for `-`, and is dropped at the end (`class_`); None is left out.
    """
    given = ''.join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in ('img', 'meta', 'wbr'):
        return Html(f'<{name}{given}>')
    return Html(f'<{name}{given}>{join(content)}</{name}>')


def join(parts: Iterable[str | None]) -> Html:
    """Markup and text, one after the other."""
    return Html(
        ''.join(
            part if isinstance(part, Html) else html.escape(part)
            for part in parts
            if part is not None
        )
    )


def number(value: object, key: str = '') -> str:
    """A value for people: thousands apart, four digits, and per cent where the key names a share.

    Args:
      key: as in a JSON file; its beginning says what kind of number it is.
    """
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, int):
        return f'{value:,}'
    if not isinstance(value, float):
        return '–' if value is None else str(value)
    if not math.isfinite(value):
        return '–' if math.isnan(value) else ('∞' if value > 0 else '-∞')
    last = key.rsplit(' ', 1)[-1].removeprefix('validation_').removeprefix('mean_')
    if last.split('_')[0] in (*_SHARES, 'confidence') and 0 <= value <= 1:
        return f'{value:.2%}'
    if last.split('_')[0] in ('auroc', 'kid', 'ssim'):
        return f'{value:.3f}'
    if value == 0:
        return '0'
    if not 1e-4 <= abs(value) < 1e7:
        return f'{value:.2e}'
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f'{value:,.{decimals}f}'


def words(name: str) -> str:
    """The name of a key, a file or a folder, as words."""
    return ' '.join(name.replace('_', ' ').split())


def bytes_in_words(num: int) -> str:
    """A file's size, such as 1.4 MB."""
    return f'{num / 1e6:.1f} MB' if num >= 1e5 else f'{num / 1e3:.0f} kB'


def table(
    header: Sequence[str], rows: Iterable[Sequence[str]], title: str, visible: bool = False
) -> Html:
    """A table that scrolls in itself where it is wider than the page.

    Args:
      header: of all columns; no header row where all are empty.
      rows: of cells; the first of each names the row.
      title: what it shows.
      visible: whether the title stands above it; else only screen readers tell it.
    """
    head = [tag('th', name, scope='col') if name else tag('td') for name in header]
    body = [tag('tr', tag('th', row[0], scope='row'), *map(_cell, row[1:])) for row in rows]
    inner = tag(
        'table',
        tag('caption', title) if visible else None,
        tag('thead', tag('tr', *head)) if any(header) else None,
        tag('tbody', *body),
    )
    return tag('div', inner, class_='scroll', tabindex=0, role='region', aria_label=title)


def _cell(content: str) -> Html:
    """A cell of a table: numbers keep to one line, longer text may break."""
    text = not isinstance(content, Html) and len(content) > 20
    return tag('td', content, class_='text' if text else None)


def bar(share: float, text: str) -> Html:
    """A number with a bar behind it, as long as the share, from 0 to 1."""
    length = f'{100 * min(max(share, 0.0), 1.0):.1f}%'
    return tag('span', text, class_='bar', style=f'--share: {length}')


def command(text: str) -> Html:
    """A command to copy; a line of it breaks between arguments."""
    parts = [Html(' ') if i % 2 else tag('span', word)
             for word in text.split(' ') for i in (0, 1)]  # fmt: skip
    return tag('code', *parts[:-1], class_='command')


def breakable(name: str) -> Html:
    """A name that may be broken between its words, such as HerbaceousVegetation."""
    places = re.split(r'(?<=[a-z])(?=[A-Z])|(?<=_)', name)
    parts = [part for place in places for part in (place, tag('wbr'))]
    return join(parts[:-1])


def details(title: str, *content: str, opened: bool = False) -> Html:
    """What the reader may unfold."""
    shown = {'open': ''} if opened else {}
    return tag('details', tag('summary', title), *content, **shown)


def picture(path: Path, alt: str, caption: str = '', chart: bool = False) -> Html:
    """A picture as a part of the page; a line that says so where the file is damaged.

    Args:
      chart: whether it has small text, so that it had better be moved than shrunk on a phone.
    """
    try:
        content = path.read_bytes()
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            (width, height), coding = image.size, image.format
            if max(width, height) > _LONGEST_SIDE or len(content) > _LARGEST_FILE:
                image.thumbnail((_REDUCED_SIDE, _REDUCED_SIDE))
                caption = f'{caption} (reduced from {width:,} x {height:,} pixels)'.strip()
                (width, height), coding = image.size, 'PNG'
                buffer = io.BytesIO()
                image.save(buffer, 'PNG', optimize=True)
                content = buffer.getvalue()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return tag('p', f'{path.name} cannot be shown: the file is damaged.', class_='note')
    address = f'data:image/{str(coding).lower()};base64,{base64.b64encode(content).decode()}'
    shown = tag('img', src=address, alt=alt, width=width, height=height)
    wide = width > 1.6 * height
    if (chart or wide) and width > _LEGIBLE_WIDTH:
        shown = tag('div', shown, class_='pan', tabindex=0, role='region', aria_label=alt)
    below = tag('figcaption', caption) if caption else None
    return tag('figure', shown, below, class_='wide' if wide else None)


def gallery(pictures: Sequence[str]) -> Html | None:
    """Pictures side by side where there is room."""
    return tag('div', *pictures, class_='gallery') if pictures else None


def columns(*content: str | None) -> Html:
    """Parts side by side where there is room, each of them a `div`."""
    return tag('div', *(tag('div', part) for part in content if part), class_='columns')


def section(name: str, title: str, *content: str | None) -> Html:
    """A section with a heading that links point to by `name`; empty where it has no content."""
    inner = join(content)
    return tag('section', tag('h2', title), inner, id=name) if inner else Html('')


def page(title: str, *content: str | None) -> str:
    """A whole page: it stands in one file, and loads nothing."""
    style = resources.files('eojax.apps.report').joinpath('report.css').read_text('utf-8')
    head = tag(
        'head',
        tag('meta', charset='utf-8'),
        tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
        tag('meta', http_equiv='Content-Security-Policy', content=_POLICY),
        tag('title', title),
        tag('style', Html(style)),
    )
    return f'<!DOCTYPE html>\n{tag("html", head, tag("body", *content), lang="en")}\n'


def plain(value: Any) -> str:
    """A value of a config as one would write it."""
    if isinstance(value, (list, tuple)):
        return ', '.join(map(plain, value)) or '(empty)'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10_000:
        return f'{value:,}'
    if value == '' or value is None:
        return '(none)' if value is None else '(empty)'
    return str(value)
