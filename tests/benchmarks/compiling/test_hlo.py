"""The text of a program, read: a small one written by hand, and one that XLA compiled here."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

from benchmarks.compiling.hlo import Program, bytes_of

TEXT = """HloModule step, is_scheduled=true, input_output_alias={ {0}: (1, {}, may-alias) }

FileNames
1 "step.py"

%fused_slice (param_0: f32[100,8], param_1: s32[]) -> f32[1,8] {
  %param_0 = f32[100,8]{1,0} parameter(0)
  %param_1 = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %slice = f32[1,8]{1,0} dynamic-slice(%param_0, %param_1, %zero), dynamic_slice_sizes={1,8}
}

%fused_update (param_0.1: f32[100,8], param_1.1: f32[1,8], param_2: s32[]) -> f32[100,8] {
  %param_0.1 = f32[100,8]{1,0} parameter(0)
  %param_1.1 = f32[1,8]{1,0} parameter(1)
  %param_2 = s32[] parameter(2)
  %zero.1 = s32[] constant(0)
  ROOT %update = f32[100,8]{1,0} dynamic-update-slice(%param_0.1, %param_1.1, %param_2, %zero.1)
}

%fused_copy (param_0.2: f32[512,1024]) -> f32[1024,512] {
  %param_0.2 = f32[512,1024]{1,0} parameter(0)
  ROOT %transpose.1 = f32[1024,512]{1,0} transpose(%param_0.2), dimensions={1,0}
}

%body (state: (s32[], f32[4,8], f32[8,8])) -> (s32[], f32[4,8], f32[8,8]) {
  %state = (s32[], f32[4,8]{1,0}, f32[8,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %x = f32[4,8]{1,0} get-tuple-element(%state), index=1
  %w = f32[8,8]{1,0} get-tuple-element(%state), index=2
  %y = f32[4,8]{1,0} dot(%x, %w), lhs_contracting_dims={1}, rhs_contracting_dims={0}
  %z = f32[4,8]{1,0} all-reduce(%y), to_apply=%sum, metadata={op_name="jit(step)/noise"}
  ROOT %next = (s32[], f32[4,8]{1,0}, f32[8,8]{1,0}) tuple(%i, %z, %w)
}

%open_body (state.1: (s32[2])) -> (s32[2]) {
  %state.1 = (s32[2]{0}) parameter(0)
  %n = s32[2]{0} get-tuple-element(%state.1), index=0
  %m = s32[2]{0} add(%n, %n)
  ROOT %again = (s32[2]{0}) tuple(%m)
}

%condition (state.2: (s32[2])) -> pred[] {
  %state.2 = (s32[2]{0}) parameter(0)
  ROOT %more = pred[] constant(true)
}

%sum (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %c = f32[] add(%a, %b)
}

ENTRY %main (data: f32[100,8], weights: f32[8,8], big: f32[512,1024]) -> f32[1024,512] {
  %data = f32[100,8]{1,0} parameter(0)
  %weights = f32[8,8]{1,0} parameter(1), metadata={op_name="carry.state.weights"}
  %big = f32[512,1024]{1,0} parameter(2), metadata={op_name="carry.state.big"}
  %at = s32[] constant(3)
  %row = f32[1,8]{1,0} fusion(%data, %at), kind=kLoop, calls=%fused_slice
  %kept = f32[100,8]{1,0} fusion(%data, %row, %at), kind=kLoop, calls=%fused_update
  %start = (s32[], f32[4,8]{1,0}, f32[8,8]{1,0}) tuple(%at, %row, %weights)
  %end = (s32[], f32[4,8]{1,0}, f32[8,8]{1,0}) while(%start), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"20"}}
  %open = (s32[2]{0}) while(%start), condition=%condition, body=%open_body
  %begun = (f32[16]{0}, f32[16]{0}) all-reduce-start(%row), to_apply=%sum
  %done = f32[16]{0} all-reduce-done(%begun)
  %wide = f64[2]{0} convert(%row)
  %out = token[] outfeed(%row), outfeed_config="x"
  ROOT %turned = f32[1024,512]{1,0} fusion(%big), kind=kInput, calls=%fused_copy
}
"""


def test_loops_and_collectives_are_found_where_they_are():
    program = Program(TEXT, chain=20)
    trips = {loop.body: loop.trips for loop in program.loops}
    assert trips == {'body': 20, 'open_body': None}
    assert program.chain is not None
    assert program.chain.body == 'body'
    inside, outside = sorted(program.collectives(), key=lambda one: -len(one.path))
    assert (inside.kind, inside.nbytes, inside.runs) == ('all-reduce', 128, 20)
    assert inside.path == ('body',)
    assert inside.source == 'jit(step)/noise'
    assert outside.path == ()
    assert outside.asynchronous
    assert not inside.asynchronous


def test_bytes_of_collectives_by_kind():
    text = """HloModule step

ENTRY %main (x: f32[3,4]) -> pred[] {
  %x = f32[3,4]{1,0} parameter(0)
  %a.1 = (f32[3,4]{1,0}, f32[]) all-reduce(%x, %y), replica_groups={{0,1}}, to_apply=%add
  %b = f32[8]{0} get-tuple-element(%a.1), index=0, metadata={op_name="all-reduce(x)"}
  %d = s32[4,4,2]{2,1,0} all-gather(%b), dimensions={0}
  %e = (bf16[2,5]{1,0}, /*index=1*/bf16[2,5]{1,0}) all-to-all(%p, %q), replica_groups={}
  ROOT %c = pred[] all-reduce(%z), to_apply=%or
}
"""
    assert Program(text).exchanged() == {
        'all-reduce': 4 * 12 + 4 + 1,
        'all-gather': 4 * 32,
        'all-to-all': 2 * 20,
    }
    # What stands in a loop counts once.
    assert Program(TEXT, chain=20).exchanged() == {'all-reduce': 128 + 64}


# As XLA has two slices exchange the sum of a gradient, each chip a part of it.
SLICES = """HloModule step

ENTRY %main (part: f32[512,8]) -> f32[512,8] {
  %part = f32[512,8]{1,0} parameter(0)
  %after = token[] after-all()
  %send = (f32[512,8]{1,0}, u32[], token[]) send(%part, %after), channel_id=2, \
is_host_transfer=true, frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
  %sent = token[] send-done(%send), channel_id=2, is_host_transfer=true, \
frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
  %recv = (f32[512,8]{1,0}, u32[], token[]) recv(%after), channel_id=1, is_host_transfer=true, \
frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
  %received = (f32[512,8]{1,0}, token[]) recv-done(%recv), channel_id=1, is_host_transfer=true, \
frontend_attributes={_xla_host_transfer_handler_name="xla_megascale_runtime"}
  ROOT %sum = f32[512,8]{1,0} get-tuple-element(%received), index=0
}
"""


def test_what_slices_exchange_is_a_collective_and_no_transfer_to_the_host():
    program = Program(SLICES)
    assert program.host_transfers() == []
    assert program.exchanged() == {'between-slices': 512 * 8 * 4}
    plain = SLICES.replace('xla_megascale_runtime', 'another')
    assert len(Program(plain).host_transfers()) == 2
    assert Program(plain).collectives() == []


def test_a_loop_with_products_is_the_chain_where_the_compiler_keeps_its_length_to_itself():
    text = TEXT.replace(', backend_config={"known_trip_count":{"n":"20"}}', '')
    assert Program(text, chain=7).runs['body'] == 7
    assert Program(text).chain is None


def test_bytes_are_those_that_are_read_and_written():
    program = Program(TEXT, chain=20)
    # The product reads 4 x 8 and 8 x 8 and writes 4 x 8; the sum reads and writes 4 x 8.
    assert program.traffic('body') == 4 * (32 + 64 + 32) + 4 * (32 + 32)
    # Of the data a row is read; the update reads a row and writes one, and its places are counted.
    lines = {one.name: one for one in program.computations['main']}
    shapes = {one.name: one.shape for one in program.computations['main']}
    assert program._moved(lines['row'], shapes) == 32 + 4 + 32
    assert program._moved(lines['kept'], shapes) == 32 + 4 + 32


def test_what_is_taken_and_given_back_in_its_place_is_known():
    program = Program(TEXT)
    assert program.arguments('carry') == (4 * (8 * 8 + 512 * 1024), 4 * 8 * 8)
    assert program.arguments('feed') == (0, 0)


def test_what_must_not_be_there_is_found():
    program = Program(TEXT)
    assert len(program.host_transfers()) == 1
    assert [one.name for one in program.of_type('f64')] == ['wide']
    [(copy, runs, in_loop)] = program.copies(2**20)
    assert (copy.name, runs, in_loop) == ('turned', 1, False)
    # The copy is of a whole argument, and of no other.
    assert program.relaid('big', 2**20) == 512 * 1024 * 4
    assert program.relaid('big', 2**22) == program.relaid('weights', 1) == 0


def test_shapes_have_bytes():
    assert bytes_of('(bf16[3,5]{1,0:T(8,128)(2,1)}, pred[7], u32[])') == 30 + 7 + 4
    assert bytes_of('token[]') == 0
    assert bytes_of('s4[3]') == 2


def test_what_is_no_program_is_refused():
    with pytest.raises(ValueError, match='no entry'):
        Program('hello')


def test_a_program_that_was_compiled_here_is_read():
    def chain(x, w):
        def update(_, x):
            return jnp.tanh(x @ w)

        return jax.lax.fori_loop(0, 5, update, x)

    text = jax.jit(chain).lower(jnp.zeros((8, 16)), jnp.zeros((16, 16))).compile().as_text()
    program = Program(text, chain=5)
    assert program.chain is not None
    assert program.chain.trips == 5
    assert program.total_traffic() >= 5 * 4 * (8 * 16 + 16 * 16 + 8 * 16)
    assert not program.collectives()
    assert not program.of_type('f64')


def test_a_counter_that_is_compared_with_a_number_says_how_often_a_loop_runs():
    counted = """%counts (state.3: (s32[], f32[2])) -> pred[] {
  %limit = s32[] constant(7)
  %state.3 = (s32[], f32[2]{0}) parameter(0)
  %i.1 = s32[] get-tuple-element(%state.3), index=0
  ROOT %less = pred[] compare(%i.1, %limit), direction=LT
}

"""
    text = TEXT.replace('%sum (a', counted + '%sum (a').replace(
        'while(%start), condition=%condition, body=%open_body',
        'while(%start), condition=%counts, body=%open_body',
    )
    assert Program(text, chain=20).runs['open_body'] == 7


def _with(line: str, computations: str = '', text: str = TEXT) -> Program:
    """The program with a line more in its entry, and computations that the line names."""
    return Program(
        text.replace('%sum (a', computations + '%sum (a').replace(
            '  %out = token[] outfeed(%row), outfeed_config="x"\n', f'  {line}\n'
        ),
        chain=20,
    )


@pytest.mark.parametrize(
    'line',
    [
        '%c = f32[8]{0} custom-call(%row), custom_call_target="xla_ffi_python_gpu_callback"',
        '%c = () custom-call(%row), custom_call_target="xla_ffi_partitioned_python_cpu_callback"',
        '%c = f32[8]{0} custom-call(%row), custom_call_target="xla_buffer_python_gpu_callback"',
        '%c = f32[8]{0} custom-call(%row), custom_call_target="MoveToHost"',
        '%c = ((f32[8]), f32[8], u32[]) call-start(%row), async_execution_thread="host"',
        '%c = f32[8]{0} call(%row), to_apply=%sum, frontend_attributes={_xla_compute_type="host"}',
        '%c = (f32[8]{0}, f32[8]{0:S(5)}, u32[]) copy-start(%row)',
        '%c = ((f32[8]{0}), token[]) infeed(%after)',
        '%c = (f32[8]{0}, u32[], token[]) send(%row, %t), channel_id=1, is_host_transfer=true',
    ],
)
def test_the_host_is_seen_by_whatever_name_it_is_met(line: str) -> None:
    assert len(_with(line).host_transfers()) == 1


def test_what_lies_on_the_host_is_a_transfer_where_it_is_used() -> None:
    held = TEXT.replace('%data = f32[100,8]{1,0} par', '%data = f32[100,8]{1,0:S(5)} par')
    # A slice of it, and an update.
    assert len(_with('%c = s32[] constant(0)', text=held).host_transfers()) == 2
    # In the result that is copied it does not stand.
    line = '%c = f32[100,8]{1,0} copy(%data)'
    assert len(_with(line, text=held).host_transfers()) == 3


INSIDE = """%talks (p: f32[4,8]) -> f32[4,8] {
  %p = f32[4,8]{1,0} parameter(0)
  ROOT %told = f32[4,8]{1,0} collective-permute(%p), source_target_pairs={{0,1},{1,0}}
}

%talks_again (q: (f32[4,8])) -> pred[] {
  %q = (f32[4,8]{1,0}) parameter(0)
  %q.0 = f32[4,8]{1,0} get-tuple-element(%q), index=0
  %any = pred[] all-reduce(%q.0), to_apply=%sum
  ROOT %root = pred[] copy(%any)
}

%deeper (r: f32[4,8]) -> f32[4,8] {
  %r = f32[4,8]{1,0} parameter(0)
  ROOT %deep = f32[4,8]{1,0} call(%r), to_apply=%talks
}

"""


@pytest.mark.parametrize(
    ('line', 'kind'),
    [
        ('%k = f32[4,8]{1,0} call(%z), to_apply=%deeper', 'collective-permute'),
        ('%k = ((f32[4,8]{1,0}), f32[4,8]{1,0}, u32[]) call-start(%z), to_apply=%talks',
         'collective-permute'),
        ('%k = f32[4,8]{1,0} fusion(%z), kind=kCustom, calls=%talks', 'collective-permute'),
        ('%k = ((f32[4,8]{1,0}), f32[4,8]{1,0}, u32[]) fusion-start(%z), kind=kCustom,'
         ' calls=%talks', 'collective-permute'),
        ('%k = ((f32[4,8]{1,0}), f32[4,8]{1,0}, u32[]) async-start(%z), calls=%talks',
         'collective-permute'),
        ('%k = f32[4,8]{1,0} conditional(%i, %z, %z), branch_computations={%sum, %talks}',
         'collective-permute'),
        ('%k = (f32[4,8]{1,0}) while(%z), condition=%condition, body=%deeper',
         'collective-permute'),
        ('%k = (f32[4,8]{1,0}) while(%z), condition=%talks_again, body=%sum', 'all-reduce'),
        ('%k = (f32[4,8]{1,0}, f32[4,8]{1,0}, u32[], u32[]) collective-permute-start(%z)',
         'collective-permute'),
        ('%k = (f32[4,8]{1,0}, u32[], token[]) send(%z, %t), channel_id=1', 'send'),
    ],
)  # fmt: skip
def test_communication_is_seen_in_the_chain_however_deep_it_is(line: str, kind: str) -> None:
    root = '  ROOT %next'
    inner = TEXT.replace(root, f'  {line}\n{root}', 1)
    program = Program(inner.replace('%sum (a', INSIDE + '%sum (a'), chain=20)
    added = [one for one in program.collectives() if one.source != 'jit(step)/noise']
    [found] = [one for one in added if one.path[:1] == ('body',)]
    assert found.kind == kind
    assert found.nbytes == (1 if kind == 'all-reduce' else 4 * 8 * 4)
    assert program.host_transfers() == ['outfeed token[]']


def test_a_computation_that_is_called_twice_is_seen_in_both_places() -> None:
    root = '  ROOT %next'
    line = '%k = f32[4,8]{1,0} call(%z), to_apply=%talks'
    text = TEXT.replace(
        '  %open =', '  %first = f32[4,8]{1,0} call(%row), to_apply=%talks\n  %open ='
    )
    text = text.replace(root, f'  {line}\n{root}', 1).replace('%sum (a', INSIDE + '%sum (a')
    talks = [one for one in Program(text, 20).collectives() if one.kind == 'collective-permute']
    assert sorted(one.path for one in talks) == [(), ('body',)]
    assert sorted(one.runs for one in talks) == [1, 20]


def test_all_chains_are_looked_at() -> None:
    other = TEXT[TEXT.index('%body (') : TEXT.index('%open_body (')].replace('%body', '%body_2')
    text = TEXT.replace('%sum (a', other + '%sum (a').replace(
        'condition=%condition, body=%open_body',
        'condition=%condition, body=%body_2, backend_config={"known_trip_count":{"n":"20"}}',
    )
    assert len(Program(text, chain=20).chains) == 2
    # Taken apart by the compiler it is as long as no chain is.
    assert Program(TEXT.replace('"n":"20"', '"n":"10"'), chain=20).chain is None


def test_numbers_of_twice_the_width_are_found_inside_of_others() -> None:
    program = _with('%k = c128[4]{0} constant({...})')
    assert [one.name for one in program.of_type('c128')] == ['k']


def test_a_line_that_cannot_be_read_is_no_line_that_does_nothing() -> None:
    with pytest.raises(ValueError, match='cannot be read'):
        _with('%k is an instruction of a later compiler')
