"""A page in a real browser, for tests; they skip, and say why, where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

_NAMES = ('chromium', 'chromium-browser', 'google-chrome')


class Visit(NamedTuple):
    """A page that was opened.

    Attributes:
      page: of Playwright.
      complaints: what the browser wrote to its console, and errors of scripts.
      requests: the addresses asked for, data without its content.
      failed: those of them that could not be loaded.
    """

    page: Any
    complaints: list[str]
    requests: list[str]
    failed: list[str]


@contextmanager
def opened(file: Path, width: int = 1280, scheme: str = 'light') -> Iterator[Visit]:
    """Opens a file in headless Chromium, or skips the test.

    Args:
      width: of the window, in CSS pixels.
      scheme: `light` or `dark`.
    """
    playwright = pytest.importorskip(
        'playwright.sync_api', reason='playwright is not installed: pip install playwright'
    )
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip('no Chromium is installed: apt-get install chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=['--no-sandbox'])
        context = browser.new_context(viewport={'width': width, 'height': 844}, color_scheme=scheme)
        visit = Visit(context.new_page(), [], [], [])
        visit.page.on('console', lambda message: visit.complaints.append(message.text))
        visit.page.on('pageerror', lambda error: visit.complaints.append(str(error)))
        visit.page.on('request', lambda request: visit.requests.append(request.url[:60]))
        visit.page.on('requestfailed', lambda request: visit.failed.append(request.url[:60]))
        visit.page.goto(file.resolve().as_uri(), wait_until='load')
        yield visit
        browser.close()
