"""Links of the pages to files outside `docs/` (code, records): copies of these go into the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

_ROOT = Path(__file__).parents[1]
_LINK = re.compile(r'\]\(\.\./([^)#\s]+)((?:#[^)\s]*)?)\)')


def _file_of(link: str) -> Path | None:
    """The file that a link from the project's root means: a folder means its README."""
    path = _ROOT / link
    if path.is_dir():
        path = path / 'README.md'
    return path if path.is_file() else None


def on_files(files: Files, config: Any) -> Files:
    """Adds the linked files as plain text under `source/`, and the examples' code."""
    for page in list(files.documentation_pages()):
        for link, _ in _LINK.findall(page.content_string):
            path = _file_of(link)
            name = '' if path is None else _name(path)
            if path is not None and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, content=path.read_bytes()))
    return files


def _name(path: Path) -> str:
    relative = path.relative_to(_ROOT).as_posix()
    # A Markdown file would be a page of its own, outside the menu.
    return f'source/{relative}' + ('.txt' if path.suffix in ('.md', '.py', '') else '')


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """Points these links to the copies; a link to nothing stays, and the build reports it."""

    def replaced(match: re.Match[str]) -> str:
        path = _file_of(match[1])
        return match[0] if path is None else f']({_name(path)})'

    return _LINK.sub(replaced, markdown)
