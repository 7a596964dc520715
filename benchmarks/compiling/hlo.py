"""Reads the text of an optimised program: loops, collectives, copies, bytes, kernels.

XLA prints a program as computations of instructions, one a line. What is counted here are the
instructions of the entry and of the bodies of its loops, as often as they run: each is a kernel or
about one, and a fusion is one of them, whatever it computes inside.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

COLLECTIVES = (
    'all-reduce', 'all-gather', 'reduce-scatter', 'all-to-all', 'collective-permute',
    'collective-broadcast', 'ragged-all-to-all',
)  # fmt: skip
# Instructions that move or compute nothing by themselves.
_FREE = frozenset((
    'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast', 'while', 'conditional',
    'call', 'call-start', 'after-all', 'partition-id', 'replica-id', 'iota', 'opt-barrier',
    'domain', 'add-dependency', 'async-update',
))  # fmt: skip
_FEEDS = ('infeed', 'outfeed')
_TO_THE_HOST = 'is_host_transfer=true'
# Instructions that run the computations they name; a loop does so in its own way.
_CALLING = ('call', 'call-start', 'conditional', 'async-start')
# Slices of TPUs exchange through their hosts' network, by sends and receipts that this one handles.
_BETWEEN_SLICES = 'xla_megascale_runtime'
BETWEEN_SLICES = 'between-slices'
# From one device to another, without the host.
SEND = 'send'
# What the host computes or holds: callbacks under whatever name jax gives them, work that is the
# host's, and moves between both memories.
_HOST_MARKS = re.compile(
    r'custom_call_target="[^"]*(?:callback|MoveToHost|MoveToDevice)'
    r'|async_execution_thread="host"|_xla_compute_type="host"'
)
# Space 5 of a layout is the host's memory.
_HOST_MEMORY = 'S(5)'
_BITS = {
    'pred': 8, 's2': 2, 'u2': 2, 's4': 4, 'u4': 4, 's8': 8, 'u8': 8, 's16': 16, 'u16': 16,
    'bf16': 16, 'f16': 16, 's32': 32, 'u32': 32, 'f32': 32, 's64': 64, 'u64': 64, 'f64': 64,
    'c64': 64, 'c128': 128, 'f8e4m3fn': 8, 'f8e5m2': 8,
}  # fmt: skip
_ARRAY = re.compile(r'\b([a-z]+[0-9]*(?:e[0-9]m[0-9](?:fn)?)?)\[([0-9,]*)\]')
_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.\-]+) (?:\(.*)?.*\{\s*$')
_INSTRUCTION = re.compile(r'^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|[a-z]\S*) ([\w\-]+)\(')
_CALLS = re.compile(
    r'\b(?:calls|to_apply|body|condition|true_computation|false_computation'
    r'|called_computations|branch_computations)=(\{[^}]*\}|%?[\w.\-]+)'
)
_TRIPS = re.compile(r'known_trip_count\D*(\d+)')
_CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
_PRODUCTS = re.compile(r'custom_call_target="__(?:cudnn|cublas)')
# In the program's first line, which arguments its results may be written over.
_OVERWRITTEN = re.compile(r'\{[\d, ]*\}: \((\d+), ')
_PARAMETER = re.compile(r'parameter\((\d+)\)')
_NAME = re.compile(r'%([\w.\-]+)')


class Instruction(NamedTuple):
    """A line of a computation.

    Attributes:
      name: of its result.
      shape: of its result, as printed.
      opcode: what it is.
      operands: the names of its arguments.
      line: all of it.
      root: whether it is the computation's result.
    """

    name: str
    shape: str
    opcode: str
    operands: tuple[str, ...]
    line: str
    root: bool

    @property
    def nbytes(self) -> int:
        """Of its result."""
        return bytes_of(self.shape)


class Loop(NamedTuple):
    """A loop of a program.

    Attributes:
      body: the computation that it repeats.
      trips: how often; None where that depends on data.
      path: the bodies of the loops around it, and its own.
      products: whether it holds convolutions or products of matrices.
    """

    body: str
    trips: int | None
    path: tuple[str, ...]
    products: bool


class Collective(NamedTuple):
    """A communication between devices.

    Attributes:
      kind: one of `COLLECTIVES`, `SEND`, or `BETWEEN_SLICES`.
      nbytes: of its result on a device.
      path: the bodies of the loops around it.
      runs: how often it is done in one call of the program.
      asynchronous: whether other work may be done meanwhile.
      source: where in the traced program it comes from.
    """

    kind: str
    nbytes: int
    path: tuple[str, ...]
    runs: int
    asynchronous: bool
    source: str


class Visit(NamedTuple):
    """A computation where the program comes to it; it may come to one from several places.

    Attributes:
      name: of the computation.
      runs: how often it is run from there in one call of the program.
      path: the bodies of the loops around it.
    """

    name: str
    runs: int
    path: tuple[str, ...]


class Program:
    """An optimised program, read.

    Attributes:
      computations: by name, their instructions.
      entry: the name of the one that is called.
      visits: of the entry, of the bodies of loops and of what is called, those of loops of unknown
        length once.
      conditions: of loops. They count as no kernels: most are a counter that nobody waits for.
      runs: how often computations run in one call, by name.
      loops: all of them.
    """

    def __init__(self, text: str, chain: int = 0) -> None:
        """Reads the text that `jax.stages.Compiled.as_text` gives.

        Args:
          chain: updates of a chain, where the program has one: the TPU's compiler does not always
            write how often a loop runs, and one with products in it is the chain's.
        """
        self._chain = chain
        self._head = text.partition('\n')[0]
        self.computations, self.entry = _computations(text)
        self._shapes_of: dict[str, Mapping[str, str]] = {}
        self.visits: list[Visit] = []
        self.conditions: list[Visit] = []
        self.runs: dict[str, int] = {}
        self.loops: list[Loop] = []
        self._walk(self.entry, 1, ())

    def _walk(self, name: str, runs: int, path: tuple[str, ...]) -> None:
        self.visits.append(Visit(name, runs, path))
        self.runs[name] = self.runs.get(name, 0) + runs
        for one in self.computations[name]:
            if one.opcode == 'while':
                body = re.search(r'body=%?([\w.\-]+)', one.line)
                assert body is not None
                products = any(map(is_product, self._all_of(body[1])))
                trips = self._trips(one)
                if trips is None and products:
                    trips = self._chain or None
                inner, often = (*path, body[1]), runs * (trips or 1)
                self.loops.append(Loop(body[1], trips, inner, products))
                self._walk(body[1], often, inner)
                condition = re.search(r'condition=%?([\w.\-]+)', one.line)
                if condition and condition[1] in self.computations:
                    self.conditions.append(Visit(condition[1], often, inner))
            elif one.opcode in _CALLING and not self._starts(one):
                for name_inside in called(one):
                    self._walk(name_inside, runs, path)

    def _starts(self, one: Instruction) -> list[Instruction]:
        """The communication that an instruction stands for, which it holds in a computation."""
        if one.opcode.removesuffix('-start') in ('fusion', 'custom-call'):
            return [inner for inner in self.inside(one) if inner.opcode in COLLECTIVES]
        if one.opcode != 'async-start':
            return []
        direct = [inner for name in called(one) for inner in self.computations.get(name, ())]
        return [inner for inner in direct if inner.opcode in COLLECTIVES]

    def _trips(self, one: Instruction) -> int | None:
        """How often a loop runs, where that is written, or its counter compared with a number."""
        found = _TRIPS.search(one.line)
        if found:
            return int(found[1])
        condition = re.search(r'condition=%?([\w.\-]+)', one.line)
        body = self.computations[condition[1]] if condition else []
        numbers = {i.name: re.search(r'constant\((\d+)\)', i.line) for i in body}
        for last in body:
            if last.root and last.opcode == 'compare' and 'direction=LT' in last.line:
                number = numbers.get(last.operands[1])
                return int(number[1]) if number else None
        return None

    def _all_of(self, name: str) -> Iterator[Instruction]:
        """The instructions of a computation and of all that it calls."""
        for one in self.computations[name]:
            yield one
            yield from self.inside(one)

    def arguments(self, name: str) -> tuple[int, int]:
        """Bytes of an argument of the traced function that the program takes, and of that part of
        it which the program writes its results over; what it hands on untouched it does not take.
        """
        over = {int(number) for number in _OVERWRITTEN.findall(self._head)}
        taken = donated = 0
        for one in self.computations[self.entry]:
            number = _PARAMETER.search(one.line) if one.opcode == 'parameter' else None
            if number and re.match(rf'{name}\b', source_of(one)):
                taken += one.nbytes
                donated += one.nbytes if int(number[1]) in over else 0
        return taken, donated

    @property
    def chains(self) -> list[Loop]:
        """The loops of chains' updates: as long as a chain is, with products."""
        return [loop for loop in self.loops if loop.products and loop.trips == self._chain]

    @property
    def chain(self) -> Loop | None:
        """That of them which moves most; None where there is none."""
        return max(self.chains, key=lambda loop: self.traffic(loop.body), default=None)

    def kernels(self, name: str) -> Iterator[Instruction]:
        """The instructions of a computation that a device does one after the other."""
        for one in self.computations[name]:
            if one.opcode not in _FREE and not one.opcode.endswith('-done'):
                yield one

    def launched(self) -> Iterator[tuple[Visit, Instruction]]:
        """All kernels, and where each of them is."""
        for visit in self.visits:
            for one in self.kernels(visit.name):
                yield visit, one

    def _begun(self) -> Iterator[tuple[Visit, Instruction]]:
        """All instructions but the ends of others, those in conditions of loops too."""
        for visit in (*self.visits, *self.conditions):
            for one in self.computations[visit.name]:
                if not one.opcode.endswith('-done'):
                    yield visit, one

    def inside(self, one: Instruction) -> Iterator[Instruction]:
        """The instructions of all computations that an instruction calls."""
        for name in called(one):
            for inner in self.computations.get(name, ()):
                yield inner
                yield from self.inside(inner)

    def collectives(self) -> list[Collective]:
        """All communication, in the order of the program."""
        # What is begun ends elsewhere, and there its result stands alone.
        ends = {
            one.operands[0]: one.shape
            for body in self.computations.values()
            for one in body
            if one.opcode.endswith('-done') and one.operands
        }
        found = []
        for visit, one in self._begun():
            kind, asynchronous = one.opcode.removesuffix('-start'), one.opcode.endswith('-start')
            wrapped = self._starts(one)
            if kind in COLLECTIVES:
                shape = one.shape
                if asynchronous and kind != 'all-reduce':  # operands and results, as pairs
                    shape = _second_half(shape)
                shape = ends.get(one.name, shape) if asynchronous else shape
            elif wrapped:
                kind, shape = wrapped[0].opcode, wrapped[0].shape
            elif one.opcode == 'send' and not _goes_to_the_host(one):
                kind = BETWEEN_SLICES if _BETWEEN_SLICES in one.line else SEND
                asynchronous = True
                shape = _ARRAY.search(one.shape)[0]  # type: ignore[index]  # then a token
            else:
                continue
            nbytes = bytes_of(shape)
            found.append(
                Collective(kind, nbytes, visit.path, visit.runs, asynchronous, source_of(one))
            )
        return found

    def exchanged(self) -> dict[str, int]:
        """Bytes that collectives give on a device, by kind; what stands in a loop counts once."""
        found: dict[str, int] = {}
        for one in self.collectives():
            found[one.kind] = found.get(one.kind, 0) + one.nbytes
        return found

    def host_transfers(self) -> list[str]:
        """What is exchanged with the host while the program runs."""
        return [
            f'{one.opcode} {one.shape}'
            for visit, one in self._begun()
            if one.opcode in _FEEDS
            or (one.opcode in ('send', 'recv') and _goes_to_the_host(one))
            or _HOST_MARKS.search(one.line)
            or self._touches_host_memory(visit, one)
        ]

    def _touches_host_memory(self, visit: Visit, one: Instruction) -> bool:
        if one.opcode in _FREE:  # which only name what lies there
            return False
        shapes = self._shapes(visit.name)
        used = (one.shape, *(shapes.get(operand, '') for operand in one.operands))
        return any(_HOST_MEMORY in shape for shape in used)

    def _shapes(self, name: str) -> Mapping[str, str]:
        if name not in self._shapes_of:
            self._shapes_of[name] = {one.name: one.shape for one in self.computations[name]}
        return self._shapes_of[name]

    def of_type(self, dtype: str) -> list[Instruction]:
        """All instructions, inside fusions too, whose results have a type, such as `f64`."""
        mark = f'{dtype}['
        return [one for body in self.computations.values() for one in body if mark in one.shape]

    def copies(self, at_least: int) -> list[tuple[Instruction, int, bool]]:
        """Copies and transposes of so many bytes: with how often, and whether in a loop."""
        return [
            (one, visit.runs, bool(visit.path))
            for visit, one in self.launched()
            if _is_copy(self, one) and one.nbytes >= at_least
        ]

    def relaid(self, name: str, at_least: int) -> int:
        """Bytes of copies of whole arguments, as often as they are made: an argument whose layout
        does not suit the program is laid out anew in each call, or even in each turn of a loop.

        Args:
          name: a regular expression for the arguments, as the traced function names them.
          at_least: bytes of arguments that matter.
        """
        arguments = {
            _extent(one.shape)
            for one in self.computations[self.entry]
            if one.opcode == 'parameter' and one.nbytes >= at_least
            and re.search(name, source_of(one))
        }  # fmt: skip
        copies = self.copies(at_least)
        return sum(one.nbytes * runs for one, runs, _ in copies if _extent(one.shape) in arguments)

    def cycles(self) -> int:
        """By XLA's own model, where it is in the text (TPU), of one call; the rest counts 0."""
        total = 0
        for visit, one in self.launched():
            found = _CYCLES.search(one.line)
            total += visit.runs * int(found[1]) if found else 0
        return total

    def traffic(self, name: str) -> int:
        """Bytes that the kernels of a computation read and write in one run, inner loops left out.

        A kernel reads its operands and writes its result. Of what it only takes a part of
        (`gather`, slices), or writes into (`scatter`, updates of slices), that part counts.
        """
        shapes = self._shapes(name)
        return sum(self._moved(one, shapes) for one in self.kernels(name))

    def total_traffic(self) -> int:
        """Of one call of the program."""
        return sum(runs * self.traffic(name) for name, runs in self.runs.items())

    def _moved(self, one: Instruction, shapes: Mapping[str, str]) -> int:
        if one.opcode == 'fusion':
            inner = self.computations[called(one)[0]]
            return _read_by(inner) + _written_by(inner)
        if one.opcode in ('gather', 'dynamic-slice', 'slice'):
            return 2 * one.nbytes
        if one.opcode in ('dynamic-update-slice', 'scatter'):
            update = one.operands[1 if one.opcode == 'dynamic-update-slice' else 2]
            return 2 * bytes_of(shapes.get(update, ''))
        read = sum(bytes_of(shapes.get(operand, '')) for operand in one.operands)
        return read + one.nbytes


def is_product(one: Instruction) -> bool:
    """Whether an instruction is a convolution or a product of matrices."""
    if one.opcode in ('convolution', 'dot'):
        return True
    return one.opcode == 'custom-call' and bool(_PRODUCTS.search(one.line))


def called(one: Instruction) -> list[str]:
    """The computations that an instruction names."""
    return [name for found in _CALLS.findall(one.line) for name in re.findall(r'[\w.\-]+', found)]


def _goes_to_the_host(one: Instruction) -> bool:
    return _TO_THE_HOST in one.line and _BETWEEN_SLICES not in one.line


def source_of(one: Instruction) -> str:
    """Where an instruction comes from, as the traced program names it."""
    found = re.search(r'op_name="([^"]*)"', one.line)
    return found[1] if found else ''


def bytes_of(shape: str) -> int:
    """Of an array or a tuple, as printed; tokens and the like are nothing."""
    total = 0
    for dtype, sides in _ARRAY.findall(shape):
        if dtype in _BITS:
            elements = math.prod(int(side) for side in sides.split(',') if side)
            total += -(-_BITS[dtype] * elements // 8)
    return total


def _computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    computations: dict[str, list[Instruction]] = {}
    current: list[Instruction] | None = None
    entry = ''
    for line in text.splitlines():
        if current is None:
            match = None if line[:1] in ('', ' ') else _COMPUTATION.match(line)
            if match and '->' in line:
                current = computations.setdefault(match[2], [])
                entry = match[2] if match[1] else entry
        elif line.startswith('}'):
            current = None
        else:
            one = _instruction(line)
            if one is None:
                raise ValueError(f'this line of the compiled program cannot be read: {line[:120]}')
            current.append(one)
    if not entry:
        raise ValueError('this is not the text of a compiled program: it has no entry')
    return computations, entry


def _instruction(line: str) -> Instruction | None:
    match = _INSTRUCTION.match(line)
    if match is None:
        return None
    operands, depth = [], 1
    end = match.end()
    while end < len(line) and depth:
        depth += {'(': 1, ')': -1}.get(line[end], 0)
        end += 1
    operands = _NAME.findall(line[match.end() : end])
    return Instruction(match[2], match[3], match[4], tuple(operands), line, bool(match[1]))


def _extent(shape: str) -> tuple[str, int]:
    """The type and the number of elements of an array, in whatever order these lie."""
    match = _ARRAY.search(shape)
    if match is None:
        return '', 0
    return match[1], math.prod(int(side) for side in match[2].split(',') if side)


def _second_half(shape: str) -> str:
    """Of `(operands, results)` the results."""
    arrays = [array for array in _ARRAY.findall(shape) if array != ('u32', '')]  # and contexts
    return ' '.join(f'{dtype}[{sides}]' for dtype, sides in arrays[len(arrays) // 2 :])


def _is_copy(program: Program, one: Instruction) -> bool:
    if one.opcode in ('copy', 'transpose', 'copy-start'):
        return True
    if one.opcode != 'fusion':
        return False
    work = [i.opcode for i in program.inside(one) if i.opcode not in _FREE]
    return bool(work) and set(work) <= {'copy', 'transpose'}


def _read_by(fused: list[Instruction]) -> int:
    """Bytes that a fusion reads: of a parameter that it only takes parts of, these parts."""
    users: dict[str, list[Instruction]] = {}
    for one in fused:
        for operand in one.operands:
            users.setdefault(operand, []).append(one)
    total = 0
    for one in fused:
        if one.opcode == 'parameter':
            total += _part_read(one, users)
    return total


def _part_read(one: Instruction, users: Mapping[str, list[Instruction]]) -> int:
    parts = 0
    for user in users.get(one.name, ()):
        first = user.operands[:1] == (one.name,)
        if user.opcode == 'bitcast':
            parts += _part_read(user, users)
        elif user.opcode in ('gather', 'dynamic-slice', 'slice') and first:
            parts += user.nbytes
        elif user.opcode in ('dynamic-update-slice', 'scatter') and first:
            continue
        else:
            return one.nbytes
    return min(parts, one.nbytes)


def _written_by(fused: list[Instruction]) -> int:
    """Bytes that a fusion writes: where it updates a part of its operand, that part."""
    by_name = {one.name: one for one in fused}
    root = next(one for one in fused if one.root)
    results = [by_name[name] for name in root.operands] if root.opcode == 'tuple' else [root]
    total = 0
    for result in results:
        while result.opcode == 'bitcast' and result.operands[0] in by_name:
            result = by_name[result.operands[0]]
        if result.opcode in ('dynamic-update-slice', 'scatter'):
            update = result.operands[1 if result.opcode == 'dynamic-update-slice' else 2]
            total += by_name[update].nbytes if update in by_name else 0
        else:
            total += result.nbytes
    return total
