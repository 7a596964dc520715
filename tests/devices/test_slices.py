"""The order of devices on the mesh's axis."""

from __future__ import annotations

from typing import NamedTuple

import jax
import pytest

from eojax.devices import sharding


class Chip(NamedTuple):
    """What is asked of a device."""

    id: int
    slice_index: int | None


def test_the_devices_of_a_slice_are_neighbours_and_keep_their_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    meshes: list[list[Chip]] = []
    monkeypatch.setattr(
        sharding, 'Mesh', lambda devices, axes: meshes.append([Chip(*row) for row in devices])
    )
    by_process = [Chip(number, number % 2) for number in range(6)]
    sharding.data_mesh(by_process)  # type: ignore[arg-type]
    assert [chip.id for chip in meshes[0]] == [0, 2, 4, 1, 3, 5]
    sharding.data_mesh([Chip(3, 0), Chip(1, 0)])  # type: ignore[arg-type]
    assert [chip.id for chip in meshes[1]] == [3, 1]


def test_devices_without_slices_stay_as_jax_has_them() -> None:
    assert list(sharding.data_mesh().devices.flat) == jax.devices()
