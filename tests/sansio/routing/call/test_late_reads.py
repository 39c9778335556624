"""A process that stood still may have missed an answer: what is in the socket is read once more after its time."""

from __future__ import annotations

from tests.sansio.routing.line_dialect import LineProvider, lines, text_of
from turnout.chat import ChatRequest
from turnout.errors import TimedOut, Timer
from turnout.routing.call.machine import Call
from turnout.routing.call.operations import Stream
from turnout.routing.call.options import CallOptions
from turnout.routing.commands import Close, Finish, Open, Read
from turnout.routing.policy.settings import Policy, Timeouts
from turnout.routing.router import RouterCore


def late_call() -> Call:
    """A call whose head is received long after the time for its first content: both arrived while it stood still."""
    core = RouterCore(Policy(max_retries=0, timeout=60.0, timeouts=Timeouts(first_token=1.0, between_tokens=1.0)))
    core.register(LineProvider("p"))
    call = core.start(Stream(ChatRequest("p/m", "x")), 0.0, None, CallOptions())
    assert isinstance(call.next_command(0.0), Open)
    call.receive_head(1, 200, (), 5.0)
    return call


def read_of(call: Call, now: float) -> Read:
    command = call.next_command(now)
    assert isinstance(command, Read)
    return command


def failure_of(call: Call, now: float) -> TimedOut:
    assert isinstance(call.next_command(now), Close)
    command = call.next_command(now)
    assert isinstance(command, Finish)
    assert isinstance(command.error, TimedOut)
    return command.error


def test_content_that_has_arrived_is_taken_after_its_time() -> None:
    call = late_call()
    late = read_of(call, 5.0)
    assert min(late.idle, late.until - 5.0) == 0.0, "it does not wait"
    assert text_of(call.receive_data(1, lines("tone"), 5.0)) == "one"
    assert read_of(call, 5.0).idle == 1.0
    call.receive_data(1, lines("f"), 5.1)
    while not isinstance(command := call.next_command(5.1), Finish):
        assert isinstance(command, Read | Close)
        if isinstance(command, Read):
            call.receive_end(1, 5.1)
    assert command.error is None


def test_it_is_silent_if_nothing_has_arrived() -> None:
    call = late_call()
    read_of(call, 5.0)
    call.receive_failure(1, TimedOut("nothing", timer=Timer.READ), 5.0)
    assert failure_of(call, 5.0).timer is Timer.FIRST_TOKEN


def test_comments_do_not_lengthen_the_time_again() -> None:
    call = late_call()
    read_of(call, 5.0)
    assert call.receive_data(1, lines("c"), 5.0) == ()
    assert failure_of(call, 5.0).timer is Timer.FIRST_TOKEN


def test_the_rest_of_an_event_is_read_after_a_silence() -> None:
    call = late_call()
    read_of(call, 5.0)
    call.receive_data(1, lines("tone"), 5.0)
    read_of(call, 5.0)
    call.receive_data(1, b"ttw", 9.0)
    assert read_of(call, 9.0).idle == 0.0
    assert text_of(call.receive_data(1, b"o\n", 9.0)) == "two"
