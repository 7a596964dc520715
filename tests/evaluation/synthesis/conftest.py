"""Trained runs that all tests of synthesis share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eojax.methods import METHODS
from eojax.training.loop import train
from tests.evaluation.synthesis.stand_in import NAME, RECIPE, painted_config


@pytest.fixture(scope='package')
def painted() -> Iterator[None]:
    """The stand-in is a method for the tests of this package alone."""
    METHODS[NAME] = RECIPE
    yield
    del METHODS[NAME]


@pytest.fixture(scope='package')
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A U-Net that was trained for two steps on the images of `painted_config`."""
    folder = tmp_path_factory.mktemp('segmenter') / 'run'
    train(painted_config('segmentation'), folder)
    return folder


@pytest.fixture(scope='package')
def judged(painted: None, segmenter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the stand-in, judged by the segmenter as it was trained."""
    folder = tmp_path_factory.mktemp('painted') / 'run'
    train(painted_config(evaluate__segmenter=str(segmenter), evaluate_every=1), folder)
    return folder
