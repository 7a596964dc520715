"""Images that exist only when they are asked for, as files do; a worker process can load this."""

from __future__ import annotations

import numpy as np

from eojax.errors import UserError


class OnAccess:
    """Image i is filled with i modulo 251; the image `broken` cannot be read."""

    def __init__(self, num: int, size: int = 4, broken: int = -1) -> None:
        self.shape = (num, size, size, 3)
        self.dtype = np.dtype(np.uint8)
        self.nbytes = num * size * size * 3
        self._broken = broken

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        indices = np.asarray(indices)
        if self._broken in indices:
            raise UserError(f'image_{self._broken}.tif: broken image')
        filled = (indices % 251).astype(np.uint8)[:, None, None, None]
        return np.broadcast_to(filled, (len(indices), *self.shape[1:])).copy()
