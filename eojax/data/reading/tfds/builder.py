"""A tfds data set of labelled images, generated from a folder or zip archive without TensorFlow.

Images are stored as the encoded bytes they came as (all but JPEG as PNG), so that nothing is lost.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging
from PIL import Image

from eojax.data.published import PublishedImages
from eojax.data.reading.decode import decode_image
from eojax.data.reading.image_files import open_image_files
from eojax.data.reading.image_folder import find_classes

VERSION = '1.0.0'
# How JPEG and PNG files start, the formats that tfds decodes.
_KEPT = (b'\xff\xd8', b'\x89PNG')


@dataclasses.dataclass(eq=False, kw_only=True)
class PublishedConfig(tfds.core.BuilderConfig):
    """Which data set is built, and from which folder or archive."""

    images: PublishedImages
    source: Path


class EojaxImages(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
    """One split, `train`, of `image`, `label` and `filename` (`<Class>/<file>`)."""

    VERSION = tfds.core.Version(VERSION)
    # tfds downloads nothing here; looking for its table of checksums needs a package of its own.
    url_infos: ClassVar[dict[str, Any]] = {}

    def _info(self) -> tfds.core.DatasetInfo:
        images = self.builder_config.images
        shape = (images.size, images.size, len(images.bands))
        return tfds.core.DatasetInfo(
            builder=self,
            description=images.title,
            features=tfds.features.FeaturesDict(
                {
                    'image': tfds.features.Image(shape=shape),
                    'label': tfds.features.ClassLabel(names=list(images.class_names)),
                    'filename': tfds.features.Text(),
                }
            ),
            supervised_keys=('image', 'label'),
            homepage=images.homepage,
            citation=images.citation,
            license=images.licence,
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[tuple[str, dict]]]:
        del dl_manager  # the archive is already here
        return {'train': self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict]]:
        images, source = self.builder_config.images, self.builder_config.source
        with open_image_files(source) as listing:
            found = find_classes(listing, images.class_names)
            for file, name, label in zip(found.files, found.names, found.labels, strict=True):
                data = listing.read(file)
                pixels = decode_image(  # so that a broken image is found now
                    data, f'{source}: {file}', num_bands=len(images.bands), size=images.size
                )
                if not data.startswith(_KEPT):
                    buffer = io.BytesIO()
                    Image.fromarray(pixels.squeeze()).save(buffer, 'PNG')
                    data = buffer.getvalue()
                yield name, {'image': data, 'label': label, 'filename': name}


def build(images: PublishedImages, source: Path, data_dir: Path) -> Path:
    """Writes the data set below `data_dir` in array_record files; returns its folder.

    One that is there already is left as it is, and a line on stderr says so.

    Raises:
      UserError: what is missing, damaged or unexpected in `source`, by name.
    """
    config = PublishedConfig(
        name=images.name,
        version=tfds.core.Version(VERSION),
        description=images.title,
        images=images,
        source=source,
    )
    with _quiet(), tempfile.TemporaryDirectory() as scratch:
        builder = EojaxImages(config=config, data_dir=data_dir, file_format='array_record')
        folder = Path(builder.data_dir)
        if folder.exists():
            print(f'eojax: {folder} is there already; remove it to prepare anew', file=sys.stderr)
        builder.download_and_prepare(
            download_dir=scratch,
            download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        )
    return folder


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Progress bars and errors only: tfds speaks of downloads where there are none."""
    verbosity = logging.get_verbosity()
    logging.set_verbosity(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
