"""The record of a repair: its settings, and how near each method came to the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from eojax.apps.restore.repair import Settings
from eojax.atomic_file import write_atomically
from eojax.messages import say
from eojax.metrics import restoration
from eojax.runs.run import Run


def numbers_of(
    made: Mapping[str, np.ndarray], true: np.ndarray, masks: np.ndarray
) -> dict[str, Any]:
    """PSNR and SSIM of each method by their keys in the JSON; see `eojax.apps.restore.command`."""
    numbers: dict[str, Any] = {}
    for name, images in made.items():
        psnr, ssim = (f(images, true, masks) for f in (restoration.psnr, restoration.ssim))
        squares = np.square(images.astype(np.float64) - true)[masks]
        pooled = 10.0 * math.log10(255.0**2 / max(float(squares.mean()), 1e-12))
        numbers[name] = {
            # An image without any error would make the mean infinite.
            'psnr': float(np.minimum(psnr, 100.0).mean()),
            'psnr_pooled': min(pooled, 100.0),
            'ssim': float(ssim.mean()),
            'per_image': {
                'psnr': np.minimum(psnr, 100.0).round(3).tolist(),
                'ssim': ssim.round(4).tolist(),
            },
        }
    return numbers


def settings_for_json(run: Run, settings: Settings) -> dict[str, Any]:
    """The settings by their keys in the JSON."""
    label = None if settings.label is None else run.facts.class_names[settings.label]
    plain = settings.langevin
    return {
        'chains': settings.chains,
        'class': label or ('auto' if settings.by_class else 'any'),
        'sampler': 'texture' if plain is None else 'langevin',
        'chain': dict((settings.options if plain is None else plain)._asdict()),
        'seed': settings.seed,
    }


def save_json(path: Path, told: Mapping[str, Any]) -> None:
    """Writes the numbers, whole or not at all."""
    text = json.dumps(told, indent=2, allow_nan=False) + '\n'
    write_atomically(path, lambda file: file.write(text.encode()))


def say_numbers(told: Mapping[str, Any]) -> None:
    """Tells PSNR and SSIM of each method, best first, and what did the work."""
    if 'methods' not in told:
        say(told['note'])
        return
    methods = told['methods']
    for name in sorted(methods, key=lambda n: -methods[n]['psnr']):
        values = methods[name]
        say(f'{name}: PSNR {values["psnr"]:.2f} dB, SSIM {values["ssim"]:.4f}')
    best = max(('biharmonic', 'median'), key=lambda n: methods[n]['psnr'])
    ahead = methods['model']['psnr'] - methods[best]['psnr']
    gain = methods['model']['psnr'] - methods['start']['psnr']
    place = 'above' if ahead >= 0 else 'below'
    say(
        f'the mean of the chains is {abs(ahead):.2f} dB {place} {best}; the texture alone, without'
        f' the model, is {methods["start"]["psnr"]:.2f} dB, and the model adds {gain:+.2f} dB'
    )
