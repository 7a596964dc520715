"""The traffic between devices in a training step, read from the compiled program."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.process_groups import start_processes, wait_for

_KINDS = 'all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast'
_PROGRAM = """
import json, sys
from pathlib import Path
import jax
from eojax.runs import run as runs
from eojax.devices import sharding
from eojax.models import convolution
from eojax.runs.carry import initial_carry
from eojax.training.step_program import compile_phase
from tests.training_runs import small_config

out = Path(sys.argv[1])
convolution._CACHE = 1  # the kernel's gradient image by image, as it is for large ones
config = small_config('jem', sampler__buffer_parts=4, method__supervised_steps=0, **{changes})
run = runs.prepare(config, out)
assert run.mesh.size == 4
key = sharding.place_key(jax.random.key(0), run.mesh)
carry = initial_carry(run, key)
programs = compile_phase(run, run.method.phases[-1], carry, key)
(out / 'program.txt').write_text(programs.one.as_text())
shapes = [leaf.shape for leaf in jax.tree.leaves(carry.state.trained.parameters)]
(out / 'facts.json').write_text(json.dumps(dict(shapes=shapes, metrics=len(carry.sums))))
"""


def compiled(folder: Path, **changes: object) -> tuple[str, list[list[int]], int]:
    """The text of a step on four devices, the shapes of the parameters, the number of metrics."""
    program = _PROGRAM.replace('{changes}', repr(changes))
    group = start_processes(1, 4, ['-c', program, str(folder)], folder)
    assert wait_for(group) == [0], (folder / '0.log').read_text()
    facts = json.loads((folder / 'facts.json').read_text())
    return (folder / 'program.txt').read_text(), facts['shapes'], facts['metrics']


def collectives(text: str) -> list[tuple[str, str, list[list[int]]]]:
    """Of each collective: its kind, the computation that it stands in, the shapes that it gives."""
    found, inside = [], ''
    for line in text.splitlines():
        if line and not line[0].isspace() and line.rstrip().endswith('{'):
            inside = line.split()[0]
        match = re.search(rf'= (\(.*?\)|\S+) ({_KINDS})(?:-start)?\(', line)
        if match:
            arrays = re.findall(r'\b[a-z]+[0-9]*\[([0-9,]*)\]', match[1])
            shapes = [[int(n) for n in array.split(',') if n] for array in arrays]
            found.append((match[2], inside, shapes))
    return found


def count(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


# So many steps that the chain is a loop also on the CPU, with all that it could start from.
_CHANGES = {
    'sampler__steps': 33, 'sampler__start': 'gaussian', 'sampler__start_uniform_share': 0.1,
    'method__augment': 'dihedral_shift', 'model__density_head': True,
}  # fmt: skip
_SCORE = {'method__score_matching_weight': 0.1, 'method__score_matching_batch_size': 8}


@pytest.mark.parametrize(('changes', 'passes'), [({}, 1), (_SCORE, 3)], ids=['jem', 'score'])
def test_only_the_gradient_is_summed_over_the_devices(
    tmp_path: Path, changes: dict[str, float], passes: int
):
    text, shapes, metrics = compiled(tmp_path, **_CHANGES, **changes)
    found = collectives(text)
    assert ' while(' in text
    assert {kind for kind, _, _ in found} == {'all-reduce'}
    assert {inside for _, inside, _ in found} == {'ENTRY'}  # none in the loop of the chain
    summed = sum(count(shape) for _, _, given in found for shape in given)
    gradient = sum(map(count, shapes))
    # XLA's CPU backend sums what each backward pass gives before it adds them up.
    assert gradient <= summed <= passes * gradient + 2 * metrics + 4
    # And as few times as may be: one exchange carries all of it.
    assert len(found) <= 2


def test_batch_normalisation_adds_its_statistics(tmp_path: Path):
    text, shapes, metrics = compiled(tmp_path, model__norm='batch', sampler__steps=33)
    found = collectives(text)
    assert {kind for kind, _, _ in found} == {'all-reduce'}
    assert {inside for _, inside, _ in found} == {'ENTRY'}
    given = [shape for _, _, each in found for shape in each]
    # Kernels, as the gradient of each of the two passes; all else is a value a channel, or one.
    kernels = sum(count(shape) for shape in shapes if len(shape) > 1)
    vectors = [shape for shape in given if shape and max(shape) == count(shape)]
    others = [shape for shape in given if shape and shape not in vectors]
    assert sum(map(count, others)) == 2 * kernels
    assert len(vectors) > sum(len(shape) == 1 for shape in shapes)
    assert sum(not shape for shape in given) <= 2 * metrics + 4
