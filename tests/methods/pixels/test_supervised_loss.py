from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax import option
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import Facts
from eojax.errors import UserError
from eojax.losses.dice import dice
from eojax.losses.focal import focal
from eojax.losses.pixel_cross_entropy import pixel_cross_entropy
from eojax.methods.pixels import supervised_loss

FACTS = Facts(title='Tiles', class_names=('water', 'crops', 'trees'), label='pixel', size=(4, 4))


def _options(**values: Any) -> ConfigDict:
    return ConfigDict({**option.defaults(supervised_loss.OPTIONS), **values})


def _batch() -> tuple[Any, Any]:
    keys = random.split(random.key(0))
    return random.normal(keys[0], (2, 4, 4, 3)), random.randint(keys[1], (2, 4, 4), -1, 3)


def test_the_loss_is_the_named_one() -> None:
    weights = jnp.array([1.0, 2.0, 0.5])
    batch = _batch()
    expected = {
        'cross_entropy': pixel_cross_entropy(*batch, weights),
        'focal': focal(*batch, 1.5, weights),
        'dice': dice(*batch, weights),
        'cross_entropy_dice': pixel_cross_entropy(*batch, weights) + dice(*batch, weights),
    }
    for name, value in expected.items():
        options = _options(loss=name, focal_gamma=1.5, class_weights='1, 2, 0.5')
        built = supervised_loss.build(options, FACTS)
        assert built.fit is None
        assert float(built.loss(*batch, built.weights(None))) == float(value)
    plain = supervised_loss.build(_options(), FACTS)
    assert float(plain.loss(*batch, ())) == float(pixel_cross_entropy(*batch))


def test_balanced_weights_are_counted_in_labelled_places_alone() -> None:
    maps = np.full((3, 4, 4), 255, np.uint8)
    maps[0, :2], maps[0, 2:] = 0, 2
    maps[1, 0] = 0
    maps[2] = 1  # nobody may know it
    images = np.zeros((3, 4, 4, 3), np.uint8)
    sizes = np.full(3, 4, np.int32)
    places = Places(('a', 'b', 'c'), sizes, sizes, np.array([0, 0, -1], np.int32))
    training = Dataset(FACTS, places, ArraySource({'images': images, 'labels': maps}))
    built = supervised_loss.build(_options(class_weights='balanced'), FACTS)
    assert built.fit is not None
    weights = built.weights(built.fit(training))
    assert (weights.shape, weights.dtype) == (built.fitted.shape, built.fitted.dtype)
    # Class 1 has no pixel that may be counted: it weighs what the rarest counted one does.
    np.testing.assert_allclose(weights, [20 / (2 * 12), 20 / (2 * 8), 20 / (2 * 8)])
    batch = _batch()
    assert float(built.loss(*batch, weights)) == float(pixel_cross_entropy(*batch, weights))
    with pytest.raises(UserError, match='no labelled pixel'):
        built.fit(training.with_labels(np.full(3, -1, np.int32)))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'loss': 'focall'}, "did you mean 'focal'"),
        ({'focal_gamma': -1.0}, 'method.focal_gamma'),
        ({'class_weights': 'balance'}, "method.class_weights must be empty, 'balanced' or numbers"),
        ({'class_weights': '1,-2,1'}, 'method.class_weights must be 0 or more'),
        ({'class_weights': '0,0,0'}, 'not all 0'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    def check(options: ConfigDict) -> None:
        option.check(supervised_loss.OPTIONS, options, 'method')
        supervised_loss.check(options)

    with pytest.raises(UserError, match=message):
        check(_options(**values))


def test_a_weight_for_each_class() -> None:
    with pytest.raises(UserError, match='2 numbers for the 3 classes of Tiles'):
        supervised_loss.build(_options(class_weights='1,2'), FACTS)
