"""Prepares a tfds data set (array_record) from a folder or zip archive, without TensorFlow."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eojax.data.published import PublishedImages
from eojax.data.reading.published_images import download_published
from eojax.data.sets import DATASETS
from eojax.errors import UserError, one_line_errors

PREPARED: dict[str, PublishedImages] = {
    kind.name: kind.published
    for kind in DATASETS.values()
    if kind.published is not None and kind.published.tfds_folders
}
EXAMPLE = """example:
  python -m eojax.data.prepare --dataset=eurosat --root=EuroSAT.zip --data_dir=~/tensorflow_datasets
  python -m eojax.main --config=configs/jem_eurosat.py --config.data.source=tfds \\
      --config.data.root=~/tensorflow_datasets
"""


def prepare(dataset: str, root: str | Path | None, data_dir: str | Path) -> Path:
    """Prepares `dataset` below `data_dir`, unless it is there; returns its folder.

    Parameters
    ----------
    dataset: one of `PREPARED`.
    root: folder or zip archive; empty downloads the published archive.
    data_dir: the `data_dir` of tfds; created if need be.

    Raises
    ------
    UserError: what is missing, damaged or unexpected, by name.
    """
    try:
        from eojax.data.reading import tfds_builder
    except ImportError:
        raise UserError('preparing needs pip install tensorflow-datasets array_record') from None
    images = PREPARED[dataset]
    source = Path(root).expanduser() if root else download_published(images, option='--root')
    return tfds_builder.build(images, source, Path(data_dir).expanduser())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m eojax.data.prepare',
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        '--dataset', required=True, choices=sorted(PREPARED), help='what to prepare'
    )
    parser.add_argument(
        '--root', default='', help='folder or zip archive; left out: the published one, downloaded'
    )
    parser.add_argument('--data_dir', required=True, help="tfds's folder, where the result goes")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends the process with code 1 and one line where something is wrong."""
    options = _parse(arguments)
    with one_line_errors():
        folder = prepare(options.dataset, options.root, options.data_dir)
        print(f'{options.dataset} is ready in {folder}', file=sys.stdout)


if __name__ == '__main__':
    main()
