"""The bytes of responses with faults, without a socket."""

from __future__ import annotations

import gzip
import re
import zlib

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout_io.sandbox import Abort, Corruption, Fault
from turnout_sandbox.server.responses import Response, StreamedResponse, UnaryResponse
from turnout_sandbox.server.steps import ConnectionEnd, Step, build_steps

TOKENS = tuple(f"data: token {number}\n\n".encode() for number in range(5))


def stream() -> StreamedResponse:
    return StreamedResponse(
        headers=(("content-type", "text/event-stream"),),
        opening=(b"data: open\n\n",),
        tokens=iter(TOKENS),
        closing=(b"data: finish\n\n",),
        done=b"data: [DONE]\n\n",
        broken=b"data: {\n\n",
        error=(b"data: error\n\n",),
    )


UNARY = UnaryResponse(200, (("content-type", "application/json"),), b'{"answer": "yes"}')
WHOLE = b"data: open\n\n" + b"".join(TOKENS) + b"data: finish\n\ndata: [DONE]\n\n"


def steps(response: Response, fault: Fault, *, interval: float = 0.0, http11: bool = True) -> list[Step]:
    return list(build_steps(response, fault, interval=interval, now=0.0, http11=http11))


def sent(played: list[Step]) -> bytes:
    return b"".join(step for step in played if isinstance(step, bytes))


def body(played: list[Step]) -> tuple[bytes, bool]:
    """The body with its HTTP framing taken off, and whether that framing ended as it should."""
    head, _, rest = sent(played).partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head:
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return rest, len(rest) == length
    whole = bytearray()
    while rest:
        size_text, _, rest = rest.partition(b"\r\n")
        size = int(size_text, 16)
        if size == 0:
            return bytes(whole), rest == b"\r\n"
        whole += rest[:size]
        if rest[size : size + 2] != b"\r\n":
            return bytes(whole), False
        rest = rest[size + 2 :]
    return bytes(whole), False


faults = st.builds(
    lambda cut, after, garble, stall, fragment, usage, delay, partial, compressed: Fault(
        abort=cut,
        corruption=None if cut else garble,
        stall=0.0 if cut or garble or after is None else stall,
        after_tokens=after if cut or garble or stall else None,
        fragment=fragment,
        usage=usage,
        delay=delay,
        partial=partial and cut not in (None, Abort.ERROR) and after is not None,
        gzip=compressed,
    ),
    st.none() | st.sampled_from(Abort),
    st.none() | st.integers(0, 8),
    st.none() | st.sampled_from(Corruption),
    st.sampled_from([0.0, 0.5]),
    st.none() | st.integers(1, 40),
    st.booleans(),
    st.sampled_from([0.0, 0.5]),
    st.booleans(),
    st.booleans(),
)


@given(faults, st.booleans(), st.booleans(), st.sampled_from([0.0, 0.1]))
def test_every_plan_has_one_ending_and_it_is_the_last_step(
    fault: Fault, streamed: bool, http11: bool, interval: float
) -> None:
    played = steps(stream() if streamed else UNARY, fault, interval=interval, http11=http11)
    assert [isinstance(step, ConnectionEnd) for step in played] == [False] * (len(played) - 1) + [True]
    assert all(step >= 0 for step in played if isinstance(step, float))


DATE = re.compile(rb"date: [^\r]*", re.IGNORECASE)


@given(faults, st.booleans())
def test_fragments_change_no_byte(fault: Fault, streamed: bool) -> None:
    whole = attrs.evolve(fault, fragment=None)
    one = sent(steps(stream() if streamed else UNARY, attrs.evolve(fault, fragment=1)))
    other = sent(steps(stream() if streamed else UNARY, whole))
    # A second may begin between the two.
    assert DATE.sub(b"", one) == DATE.sub(b"", other)


def test_a_healthy_stream_is_one_chunk_an_event() -> None:
    played = steps(stream(), Fault())
    assert body(played) == (WHOLE, True)
    writes = [step for step in played if isinstance(step, bytes)]
    assert writes[2] == b"%x\r\n%b\r\n" % (len(TOKENS[0]), TOKENS[0])
    assert played[-1] is ConnectionEnd.DONE


def test_a_healthy_answer_has_its_length() -> None:
    played = steps(UNARY, Fault())
    assert body(played) == (UNARY.body, True)
    assert b"content-length: 17\r\n" in sent(played)


def test_an_old_client_gets_no_chunks() -> None:
    played = steps(stream(), Fault(), http11=False)
    assert sent(played).endswith(b"\r\n\r\n" + WHOLE)
    assert b"chunked" not in sent(played)
    assert played[-1] is ConnectionEnd.CLOSE


@pytest.mark.parametrize("cut", [Abort.CLOSE, Abort.RESET, Abort.HANG])
def test_a_cut_before_the_head_sends_nothing(cut: Abort) -> None:
    assert steps(stream(), Fault(abort=cut))[:-1] == []
    assert steps(UNARY, Fault(abort=cut, delay=0.25))[:-1] == [0.25]


@pytest.mark.parametrize("cut", [Abort.CLOSE, Abort.RESET, Abort.HANG])
def test_a_cut_after_tokens_leaves_the_framing_open(cut: Abort) -> None:
    assert body(steps(stream(), Fault(abort=cut, after_tokens=2))) == (b"data: open\n\n" + b"".join(TOKENS[:2]), False)


def test_a_partial_cut_stops_inside_a_chunk_that_declared_more() -> None:
    data, ended = body(steps(stream(), Fault(abort="close", after_tokens=2, partial=True)))
    assert data.startswith(b"data: open\n\n" + b"".join(TOKENS[:2]) + b"data")
    assert not data.endswith(b"\n\n")
    assert not ended


def test_an_end_is_clean_http_without_finish_or_marker() -> None:
    assert body(steps(stream(), Fault(abort="end", after_tokens=2))) == (b"data: open\n\n" + b"".join(TOKENS[:2]), True)
    assert body(steps(stream(), Fault(abort="end"))) == (b"", True)
    data, ended = body(steps(stream(), Fault(abort="end", after_tokens=5, partial=True)))
    assert data.endswith(TOKENS[-1] + b"data: f")
    assert ended
    assert body(steps(UNARY, Fault(abort="end"))) == (b"", True)
    assert body(steps(UNARY, Fault(abort="end", after_tokens=1))) == (UNARY.body[:8], True)


def test_a_whole_body_is_cut_in_its_middle() -> None:
    assert body(steps(UNARY, Fault(abort="reset", after_tokens=0))) == (UNARY.body[:8], False)


def test_an_error_in_the_stream_ends_it_cleanly() -> None:
    assert body(steps(stream(), Fault(abort="error"))) == (b"data: error\n\n", True)
    after_two = b"data: open\n\n" + b"".join(TOKENS[:2]) + b"data: error\n\n"
    assert body(steps(stream(), Fault(abort="error", after_tokens=2))) == (after_two, True)


def test_a_broken_event_is_one_more_and_loses_nothing() -> None:
    data, ended = body(steps(stream(), Fault(corruption="json", after_tokens=3)))
    assert ended
    assert data.replace(b"data: {\n\n", b"") == WHOLE
    assert data.index(b"data: {\n\n") == data.index(TOKENS[3]) - len(b"data: {\n\n")


def test_a_broken_chunk_has_a_size_that_is_no_number() -> None:
    for response in (stream(), UNARY):
        played = steps(response, Fault(corruption="chunk", after_tokens=1))
        assert sent(played).endswith(b"5g\r\nwrong\r\n")
        assert b"content-length" not in sent(played)
        assert played[-1] is ConnectionEnd.CUT_CLOSE


def test_only_the_last_marker_is_left_out() -> None:
    assert body(steps(stream(), Fault(done=False))) == (WHOLE.removesuffix(b"data: [DONE]\n\n"), True)


def test_a_stall_is_silence_in_the_middle_and_loses_nothing() -> None:
    played = steps(stream(), Fault(stall=9.0, after_tokens=2))
    place = played.index(9.0)
    assert [step for step in played if isinstance(step, float)] == [9.0]
    assert sent(played[:place]).endswith(b"%x\r\n%b\r\n" % (len(TOKENS[1]), TOKENS[1]))
    assert body(played) == (WHOLE, True)
    whole = steps(UNARY, Fault(stall=9.0, after_tokens=2))
    assert whole[1:] == [UNARY.body[:8], 9.0, UNARY.body[8:], ConnectionEnd.DONE]


def test_waits_are_in_the_places_of_the_fault() -> None:
    fault = Fault(delay=1.0, first_token_delay=2.0, token_interval=0.5)
    waits = [step if isinstance(step, float) else "-" for step in steps(stream(), fault, interval=0.1)]
    assert waits == [1.0, "-", 2.0, "-", "-", 0.5, "-", 0.5, "-", 0.5, "-", 0.5, *"-----"]
    assert [step for step in steps(stream(), Fault(), interval=0.1) if isinstance(step, float)] == [0.1] * 4
    assert [step for step in steps(UNARY, Fault(), interval=0.1) if isinstance(step, float)] == []


def test_status_and_fields_of_a_fault_replace_those_of_the_answer() -> None:
    played = sent(steps(UNARY, Fault(status=529, headers={"Content-Type": "text/odd", "Retry-After": "2"})))
    head = played.partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert head[0] == b"HTTP/1.1 529 "
    assert b"Content-Type: text/odd" in head
    assert b"content-type: application/json" not in head
    assert b"Retry-After: 2" in head


@pytest.mark.parametrize("status", [204, 304])
def test_a_status_without_a_body_has_none(status: int) -> None:
    played = steps(UNARY, Fault(status=status))
    assert sent(played).endswith(b"\r\n\r\n")
    assert b"content-length" not in sent(played)
    assert played[-1] is ConnectionEnd.DONE


def test_a_compressed_stream_can_be_read_event_by_event() -> None:
    played = steps(stream(), Fault(gzip=True))
    writes = [step for step in played if isinstance(step, bytes)]
    assert b"content-encoding: gzip" in writes[0]
    decoder = zlib.decompressobj(wbits=31)
    first = writes[1].partition(b"\r\n")[2].removesuffix(b"\r\n")
    assert decoder.decompress(first) == b"data: open\n\n"
    data, ended = body(played)
    assert gzip.decompress(data) == WHOLE
    assert ended
    assert gzip.decompress(body(steps(UNARY, Fault(gzip=True)))[0]) == UNARY.body
