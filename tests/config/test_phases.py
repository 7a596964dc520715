"""Phases keep their shares of the steps where the command line changes these alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from eojax.config.base import check_config
from eojax.config.command_line import read_arguments
from eojax.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
SUPERVISED, WARMUP = 'method.supervised_steps', 'optimizer.warmup_steps'
FIRST, SHAPING = 'fixmatch.steps', 'method.score_matching_steps'
FIRST_WARMUP = 'fixmatch.optimizer.warmup_steps'


@pytest.mark.parametrize(
    ('name', 'arguments', 'expected'),
    [
        # 650 of 1,000 steps are supervised, 100 warm up.
        ('quickstart', ['steps=3'], {SUPERVISED: 2, WARMUP: 1}),
        ('quickstart', ['steps=2'], {SUPERVISED: 1, WARMUP: 1}),
        ('quickstart', ['steps=10000'], {SUPERVISED: 6500, WARMUP: 1000}),
        ('quickstart', ['steps=200', f'{SUPERVISED}=50'], {SUPERVISED: 50, WARMUP: 20}),
        ('quickstart', ['steps=1000', 'seed=3'], {SUPERVISED: 650, WARMUP: 100}),
        ('quickstart', [f'{SUPERVISED}=50'], {SUPERVISED: 50, WARMUP: 100}),
        # Of 10,600: 9,000 and 800. By rounding alone, they would be three and one of four.
        ('fixmatch_jem_eurosat_small', ['steps=106'], {FIRST: 90, SHAPING: 8, FIRST_WARMUP: 1}),
        ('fixmatch_jem_eurosat_small', ['steps=4'], {FIRST: 2, SHAPING: 1, WARMUP: 1}),
        ('swd_transfer_landscapes', ['steps=100'], {'method.source_steps': 33, WARMUP: 4}),
    ],
)
def test_phases_get_shorter_and_longer_with_the_steps(
    name: str, arguments: list[str], expected: dict[str, int]
) -> None:
    typed = read_arguments(
        [f'--config={CONFIGS / name}.py', *(f'--config.{text}' for text in arguments)]
    )
    assert typed.config is not None
    values = typed.config.to_dict()
    found = {}
    for key in expected:
        value = values
        for part in key.split('.'):
            value = value[part]
        found[key] = value
    assert found == expected
    check_config(typed.config)
    changed = any(text.startswith('steps=') for text in arguments) and 'seed=3' not in arguments
    assert len(typed.notes) == changed
    assert all('\n' not in note and '->' in note for note in typed.notes)


def test_too_few_steps_for_all_phases_are_refused_as_they_stand() -> None:
    typed = read_arguments([f'--config={CONFIGS}/quickstart.py', '--config.steps=1'])
    assert typed.config is not None
    assert typed.notes == ()
    with pytest.raises(UserError, match='supervised_steps 650 leaves nothing of steps 1'):
        check_config(typed.config)
