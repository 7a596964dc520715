"""Targets, stand-ins, the gate, and a tiny step compiled for an accelerator that is not here."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import compile_for
from benchmarks.chips import CHIPS
from benchmarks.compiling import gate, programs, stand_ins, table, targets
from benchmarks.compiling.findings import Findings, find, numbers, predict
from benchmarks.compiling.hlo import BETWEEN_SLICES, Program
from benchmarks.flops import StepFlops
from eojax.config.base import base_config
from eojax.config.command_line import load_config
from eojax.data.facts import IMAGES
from eojax.devices import sharding
from eojax.devices.target import compiling_for
from eojax.errors import UserError
from eojax.models import image_generator
from eojax.runs.domains import load_domain
from tests.benchmarks.compiling.elsewhere import target_or_skip
from tests.tiny_runs import tiny_config

HOLDS = Findings(
    peak_bytes=8 * 10**9, held_bytes=1, temporary_bytes=1, state_bytes=10**6,
    donated_bytes=10**6, flops=StepFlops(1e12, 20, 2e12), traffic_bytes=10**11,
    chain_traffic_bytes=10**9, kernels=100, chain_kernels=10, collectives=1,
    collective_bytes=10**8, slice_bytes=0, chain_collectives=0, lost_chains=0,
    host_transfers=0, doubles=0, open_loops=0, copied_bytes=0, relaid_bytes=0,
    products={'bf16': 3}, cycles=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ('text', 'devices', 'platform'),
    [('h100', 1, 'gpu'), ('h100:8', 8, 'gpu'), ('H200:16', 16, 'gpu'), ('v5e:1', 1, 'tpu'),
     ('v5e:4x4', 16, 'tpu'), ('v4:2x2x1', 4, 'tpu'), ('v5e:4x4*2', 32, 'tpu')],
)  # fmt: skip
def test_targets_are_parsed(text: str, devices: int, platform: str) -> None:
    target = targets.parse(text)
    assert (target.devices, target.platform) == (devices, platform)


@pytest.mark.parametrize(
    ('text', 'message'),
    [('h1000:8', "did you mean 'h100'"), ('v5e', None), ('h100:2x4', 'say how many'),
     ('v5e:8', 'the sides of the slice'), ('h100:12', 'whole hosts'), ('h100:0', 'no chips'),
     ('8 chips', 'is no CHIP:SHAPE'), ('v5e:2x2x2', 'have 2 sides'), ('v4:2x2', 'have 3 sides'),
     ('v5e:32x32', 'at most 16x16'), ('v5p:8', 'v5p:2x2x1')],
)  # fmt: skip
def test_other_targets_are_refused_in_one_line(text: str, message: str | None) -> None:
    if message is None:
        assert targets.parse(text).devices == 1
        return
    with pytest.raises(UserError, match=message) as caught:
        targets.parse(text)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('name', CHIPS)
def test_chips_have_rates_and_memory(name: str) -> None:
    chip = CHIPS[name]
    assert 1e14 < chip.flops_per_second < 1e15
    assert 1e11 < chip.bytes_per_second < 1e13
    assert (chip.card is None) == name.startswith('tpu')


@pytest.mark.parametrize(
    ('config', 'num', 'shape'),
    [('jem_eurosat', 27_000, (64, 64, 3)), ('supervised_eurosat_ms', 27_000, (64, 64, 13)),
     ('swd_transfer_eurosat_airsar', None, None), ('segmentation_geonrw', 7_782, (1000, 1000, 3)),
     ('segmentation_dfc2020', 6_114, (256, 256, 3)), ('segmentation_vaihingen', 33, None),
     ('jem_aid', 10_000, (64, 64, 3)), ('berundanet_ucmerced', 2_100, None),
     ('segmentation_christchurch', 24, (4_000, 5_000, 3))],
)  # fmt: skip
def test_published_sets_stand_there_without_their_pixels(
    config: str, num: int | None, shape: tuple[int, ...] | None
) -> None:
    read = load_config(config)
    stand_ins.prepare(read)
    domain = load_domain(read, read=stand_ins.read_stand_in)
    facts, splits = domain.dataset.facts, domain.splits
    assert num is None or domain.dataset.places.num == num
    assert min(len(splits.train), len(splits.validation), len(splits.test)) > 0
    first = int(splits.train[0])
    pixels = domain.dataset.source.read(first, None, (IMAGES,))[IMAGES]
    assert pixels.dtype == facts.images.dtype
    assert not pixels.any()
    assert shape is None or pixels.shape == shape


def test_a_set_without_a_stand_in_is_named() -> None:
    config = base_config('supervised', 'convnet', 'resisc45')
    with pytest.raises(UserError, match="no stand-in for the data set 'resisc45'"):
        stand_ins.read_stand_in(config.data)


def test_the_gate_holds_and_each_check_can_fail() -> None:
    target = targets.parse('v5e:2x4')
    assert gate.failures(HOLDS, target) == []
    broken = {
        'chain_collectives': 1, 'lost_chains': 1, 'host_transfers': 2, 'doubles': 3,
        'donated_bytes': 0, 'peak_bytes': 16 * 10**9 + 10**9,
    }  # fmt: skip
    for name, value in broken.items():
        assert len(gate.failures(HOLDS._replace(**{name: value}), target)) == 1, name
    lost = HOLDS._replace(state_bytes=0, donated_bytes=0)
    assert len(gate.failures(lost, target)) == 1
    # A TPU decides by itself when such a loop ends; a GPU asks the host.
    open_loop = HOLDS._replace(open_loops=1)
    assert gate.failures(open_loop, target) == []
    assert len(gate.failures(open_loop, targets.parse('h100'))) == 1


def test_predictions_are_rates_alone() -> None:
    target = targets.parse('v5e:2x4')
    prediction = predict(HOLDS, target)
    assert prediction is not None
    chip = CHIPS['tpu_v5e']
    assert prediction.products == pytest.approx(22e12 / 8 / chip.flops_per_second)
    assert prediction.memory == pytest.approx(1e11 / chip.bytes_per_second)
    assert prediction.links == pytest.approx(2 * 7 / 8 * 1e8 / chip.inner)
    assert prediction.steps_per_second < prediction.most_steps_per_second
    kept = numbers(HOLDS, target)
    assert kept['products_bf16'] == 3
    assert all(np.isfinite(list(kept.values())))
    assert predict(HOLDS._replace(flops=None), target) is None
    assert predict(HOLDS, targets.parse('v5e:2x4*2')) is None


def test_a_step_is_compiled_with_nothing_placed() -> None:
    """For the devices that are here: what is compiled for others goes the same way."""
    config = tiny_config('jem')
    compiled = programs.compile_step(config, sharding.data_mesh())
    found = find(compiled, config)
    assert found.donated_bytes >= found.state_bytes > 0
    assert found.doubles == found.host_transfers == 0
    assert found.flops is not None
    assert found.flops.chain > 0


@pytest.mark.parametrize('name', ['h100:2', 'v5e:2x2'])
def test_a_tiny_step_is_compiled_for_chips_that_are_not_here(name: str, tmp_path: Path) -> None:
    target = target_or_skip(name)
    config = tiny_config('jem')
    config.sampler.buffer_parts = target.devices
    compiled = programs.compile_step(config, targets.mesh_for(target))
    found = find(compiled, config)
    assert gate.failures(found, target) == []
    assert found.collectives > 0
    assert found.chain_kernels > 0
    assert jax.default_backend() == 'cpu'


def test_generators_of_few_images_a_chip_are_compiled_for_tpus() -> None:
    """XLA would end this process at the gradient of SPADE's kernels: `spade.cover_maps`."""
    chip = target_or_skip('v5e:1')
    mesh = targets.mesh_for(chip)
    options = base_config('image_synthesis', 'image_generator', 'geonrw').model
    options.update({'width': 8, 'levels': 1, 'blocks': 1})
    network = image_generator.build(options, 'fusion', 10, 3)

    def placed(tree: Any) -> Any:
        everywhere = sharding.replicated(mesh)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), tree
        )

    def loss(parameters: Any, statistics: Any, labels: jax.Array, raster: jax.Array) -> jax.Array:
        made, _ = network.train(parameters, statistics, labels, raster, key=jax.random.key(0))
        return jnp.square(made).mean()

    labels, raster = jnp.zeros((4, 64, 64), jnp.int32), jnp.zeros((4, 64, 64, 1))
    variables = jax.eval_shape(network.init, jax.random.key(0), labels, raster)
    with compiling_for(mesh):
        lowered = jax.jit(jax.grad(loss)).lower(*placed((*variables, labels, raster)))
        assert Program(programs.compiled(lowered).as_text()).host_transfers() == []


def test_slices_are_outermost_in_the_mesh() -> None:
    target = target_or_skip('v5e:2x2*2')
    devices = list(targets.mesh_for(target).devices.flat)
    assert [device.slice_index for device in devices] == [0] * 4 + [1] * 4
    # In whatever order the processes of the slices were started.
    mixed = sharding.data_mesh(devices[::2] + devices[1::2]).devices.flat
    assert [device.slice_index for device in mixed] == [0] * 4 + [1] * 4


def test_slices_sum_among_themselves_and_send_each_chips_part() -> None:
    target = target_or_skip('v5e:2x2*2')
    mesh = targets.mesh_for(target)
    side, everywhere = 1024, sharding.replicated(mesh)
    shapes = (
        jax.ShapeDtypeStruct((side, side), jnp.float32, sharding=everywhere),
        jax.ShapeDtypeStruct((8 * mesh.size, side), jnp.float32, sharding=sharding.split(mesh)),
    )

    def gradient(weights: jax.Array, batch: jax.Array) -> jax.Array:
        return jax.grad(lambda weights: jnp.square(batch @ weights).mean())(weights)

    with compiling_for(mesh):
        compiled = jax.jit(gradient, out_shardings=everywhere).lower(*shapes).compile()
    program = Program(compiled.as_text())
    assert program.host_transfers() == []
    # Each of the four chips of a slice sends a fourth of the gradient, at 4 bytes a number.
    assert program.exchanged()[BETWEEN_SLICES] == side * side


def test_what_is_missing_is_said_before_anything_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(targets, 'missing', lambda target: 'libtpu: pip install libtpu')
    with pytest.raises(SystemExit) as ended:
        compile_for.main(['--target=v5e:4x4', '--config=jem_eurosat'])
    assert ended.value.code == 1
    assert capsys.readouterr().err.count('\n') == 1


def test_a_compiler_that_ends_its_process_is_one_line() -> None:
    assert compile_for.in_a_process(math.gcd, 12, 18) == 6
    with pytest.raises(UserError, match='has ended its process'):
        compile_for.in_a_process(os.abort)
    with pytest.raises(UserError, match="the target 'x y'"):
        compile_for.in_a_process(targets.parse, 'x y')


def test_records_say_what_was_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_config('supervised')
    compiled = programs.compile_step(config, sharding.data_mesh())
    monkeypatch.setattr(targets, 'missing', lambda target: '')
    monkeypatch.setattr(targets, 'mesh_for', lambda target: sharding.data_mesh())
    monkeypatch.setattr(compile_for, 'load_config', lambda name: config)
    monkeypatch.setattr(programs, 'compile_step', lambda *_: compiled)
    # What is set here another process would not know.
    monkeypatch.setattr(compile_for, 'in_a_process', lambda function, *given: function(*given))
    for flags in (['--check'], ['--phase=0', '--no-count']):
        compile_for.main(
            ['--target=v5e:1', '--config=quickstart', '--set', 'batch_size=8', f'--out={tmp_path}',
             '--commit=abc', *flags]
        )  # fmt: skip
    other, usual = sorted(tmp_path.iterdir())
    record = json.loads(usual.read_text())
    assert record['compiled']['target'] == 'v5e:1'
    assert record['compiled']['set'] == ['batch_size=8']
    assert record['numbers']['peak_bytes'] > 0
    assert record['commit'] == 'abc'
    assert '--set batch_size=8' in record['command']
    # Another phase is another program: its record leaves the usual one alone.
    assert other.name == 'quickstart_batch_size_8_phase_0_v5e_1.json'
    assert '--phase=0 --no-count' in json.loads(other.read_text())['command']
    text = table.table(tmp_path, tmp_path / 'docs' / 'compiled.md')
    assert text.count('`quickstart` `batch_size=8` |') == 1
    assert text.count('`quickstart` `batch_size=8` `phase 0` |') == 1


def test_the_page_says_what_the_records_do(tmp_path: Path) -> None:
    page, records = tmp_path / 'docs' / 'compiled.md', tmp_path / 'compiled'
    page.parent.mkdir()
    records.mkdir()
    page.write_text(f'above\n{table.BEGIN}\nold\n{table.END}\nbelow\n')
    target = targets.parse('v5e:2x4')
    kept = {**numbers(HOLDS, target), 'gate_failures': 0.0}
    for date, peak in (('2026-01-01', 1e9), ('2026-01-02', 2e9)):
        about = {'config': 'jem', 'set': [], 'target': 'v5e:2x4', 'devices': 8, 'failures': []}
        record = {'date': date, 'numbers': {**kept, 'peak_bytes': peak}, 'compiled': about}
        (records / f'{date}.json').write_text(json.dumps(record))
    arguments = [f'--records={records}', f'--page={page}']
    with pytest.raises(SystemExit):
        table.main([*arguments, '--check'])
    table.main(arguments)
    table.main([*arguments, '--check'])
    [row] = [line for line in page.read_text().splitlines() if line.startswith('| `jem`')]
    assert '| 2.00 | 17 |' in row
    assert '[2026-01-02](../benchmarks/results/compiled/2026-01-02.json)' in row


def test_the_documentation_is_of_the_newest_records() -> None:
    table.main(['--check'])


def test_a_phase_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match='there is no phase 5: the config has 1'):
        programs.compile_step(tiny_config('supervised'), sharding.data_mesh(), phase=5)


@pytest.mark.parametrize(
    ('flags', 'says'),
    [
        (['--config=quikstart'], 'nearest is quickstart'),
        (['--effort=nan'], '--effort must be'),
        (['--text=.'], 'not writable'),
        (['--text=program.txt', '--target=h200'], 'one --target'),
        (['--out=none'], 'no such folder'),
    ],
)
def test_what_would_fail_after_minutes_fails_before(
    flags: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(targets, 'missing', lambda target: '')
    with pytest.raises(SystemExit) as ended:
        compile_for.main(['--target=h100', '--config=quickstart', *flags])
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count('\n') == 1


@pytest.mark.parametrize('text', ['{"compiled": {"con', '{"numbers": {}}', '[]'])
def test_a_file_that_is_no_record_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / 'half.json').write_text(text)
    with pytest.raises(UserError, match=r'half\.json is no record'):
        table.table(tmp_path, tmp_path / 'docs' / 'compiled.md')
