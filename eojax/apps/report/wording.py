"""Numbers, names and values as a report writes them."""

from __future__ import annotations

import math
import re
from typing import Any

from eojax.drawing.wording import kid_in_words

_SHARES = (
    'accuracy', 'ece', 'precision', 'recall', 'f1', 'iou', 'fpr95', 'share', 'pixel', 'boundary',
    'interior', 'answered',
)  # fmt: skip


def number(value: object, key: str = '') -> str:
    """A value for people: thousands apart, four digits, and per cent where the key names a share.

    A share that is not exactly 0 or 1 is never written as one of them.

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
        return _not_whole(value, f'{value:.2%}', '<0.01%', '>99.99%')
    if last.split('_')[0] == 'kid':
        return kid_in_words(value)
    if last.split('_')[0] in ('auroc', 'ssim'):
        return _not_whole(value, f'{value:.3f}', '<0.001', '>0.999')
    if value == 0:
        return '0'
    if not 1e-4 <= abs(value) < 1e7:
        return f'{value:.2e}'
    decimals = max(0, 3 - math.floor(math.log10(abs(value))))
    return f'{value:,.{decimals}f}'


def _not_whole(value: float, text: str, least: str, most: str) -> str:
    """The text, but where it would say none or all of a value that is near to it and not it."""
    if 0.0 < value < 1.0 and float(text.removesuffix('%')) in (0.0, 100.0 if '%' in text else 1.0):
        return least if value < 0.5 else most
    return text


# Keys of several words, and single ones, as people write them.
_PHRASES = {
    'log density': 'log p(x)',
    'max probability': 'max p(y|x)',
    'log sum exp': 'log-sum-exp of the logits',
    'log likelihood': 'log-likelihood',
    'gradient norm': 'norm of the gradient',
}
_WORDS = {
    'auroc': 'AUROC', 'brier': 'Brier score', 'ece': 'ECE', 'f1': 'F1', 'fid': 'FID',
    'fpr95': 'FPR at 95% TPR', 'id': 'ID', 'iou': 'IoU', 'json': 'JSON', 'kid': 'KID',
    'kl': 'KL divergence', 'mse': 'mean squared error', 'nll': 'negative log-likelihood',
    'psnr': 'PSNR (dB)', 'rgb': 'RGB', 'sar': 'SAR', 'ssim': 'SSIM', 'ucmerced': 'UC Merced',
}  # fmt: skip


def words(name: str) -> str:
    """The name of a key, a file or a folder, in words: `auroc_log_density` is AUROC log p(x)."""
    text = ' '.join(name.replace('_', ' ').split())
    for key, phrase in _PHRASES.items():
        text = re.sub(rf'\b{key}\b', phrase, text)
    return ' '.join(_WORDS.get(word, word) for word in text.split(' '))


def pieces(name: str) -> list[str]:
    """The words of a name such as HerbaceousVegetation, between which a line may break."""
    return re.split(r'(?<=[a-z])(?=[A-Z])|(?<=_)', name)


def bytes_in_words(num: int) -> str:
    """A file's size, such as 1.4 MB."""
    return f'{num / 1e6:.1f} MB' if num >= 1e5 else f'{num / 1e3:.0f} kB'


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
