"""One call, case by case: each class of failure, each timer, and what the caller gets."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.sansio.routing.call.world import CUT, GOOD, World, failing
from tests.sansio.routing.line_dialect import LineProvider, lines, text_of
from turnout import errors
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    AllAttemptsFailed,
    CapabilityUnsupported,
    ConcurrencyExceeded,
    ConnectFailed,
    DeadlineExceeded,
    Disconnected,
    LocalProtocolError,
    MissingCredentials,
    Phase,
    ProviderNotRegistered,
    ProviderUnavailable,
    ServerError,
    StreamFailed,
    StreamTruncated,
    TimedOut,
    Timer,
)
from turnout.failures import FailureClass
from turnout.messages import Image, Message
from turnout.routing.call.final_error import failure_entry
from turnout.routing.call.operations import Chat, Stream
from turnout.routing.call.options import CallOptions
from turnout.routing.commands import Close, Finish, Open, Read, Sleep
from turnout.routing.policy.backoff import backoff_seconds
from turnout.routing.policy.classify import RULES, Action, classify
from turnout.routing.policy.settings import Policy, Timeouts
from turnout.routing.router import RouterCore
from turnout.simulation import Script


@pytest.mark.parametrize("status", [500, 503])
def test_what_may_pass_is_tried_again_then_left(status: int) -> None:
    world = World([failing(status)], [GOOD], max_retries=2)
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert [url for url, _ in world.asked] == ["p0.test/stream"] * 3 + ["p1.test/stream"]
    assert world.asked[3][1] == world.asked[2][1], "there is no sleep after the last attempt"


@pytest.mark.parametrize("status", [401, 404])
def test_what_does_not_pass_is_left_at_once(status: int) -> None:
    world = World([failing(status)], [GOOD])
    assert world.run().result.model.provider == "p1"
    assert [url for url, _ in world.asked] == ["p0.test/stream", "p1.test/stream"]
    assert world.simulation.now < 1


@pytest.mark.parametrize(("status", "kind"), [(400, errors.InvalidRequest), (451, errors.ContentFiltered)])
def test_what_is_the_caller_s_to_mend_is_the_caller_s(status: int, kind: type[Exception]) -> None:
    world = World([failing(status)], [GOOD])
    outcome = world.run()
    assert isinstance(outcome.error, kind)
    assert len(world.asked) == 1
    assert outcome.error.trace is outcome.call.trace


def test_retry_after_is_a_floor() -> None:
    world = World([failing(429, headers=(("retry-after", "2"),)), GOOD])
    world.run()
    assert 2.0 <= world.asked[1][1] - world.asked[0][1] <= 2.3


def test_retry_after_beyond_the_deadline_moves_on_at_once() -> None:
    world = World([failing(429, headers=(("retry-after", "900"),))], [GOOD])
    assert world.run().result.model.provider == "p1"
    assert world.asked[1][1] == 0.0


@pytest.mark.parametrize(
    "script",
    [
        Script(head=200.0),
        Script(body=((200.0, b"tx\n"),)),
        Script(body=tuple((5.0, b"c\n") for _ in range(40))),
        Script(end="silent"),
    ],
    ids=["no head", "no content", "comments only", "silence"],
)
def test_a_silent_route_is_left_not_retried(script: Script) -> None:
    world = World([script], [GOOD], timeouts=Timeouts(response_headers=9.0, first_token=10.0))
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert len(world.asked) == 2
    assert world.asked[1][1] <= 10.0 + 1e-9
    failed = next(entry for entry in outcome.call.trace.entries if entry.kind == "failed")
    assert failed.failure is FailureClass.NO_RESPONSE  # type: ignore[union-attr]  # told by its kind


def test_a_hung_primary_leaves_time_for_the_fallback() -> None:
    world = World([Script(head=500.0)], [GOOD], timeout=10.0)
    outcome = world.run(Chat(world.request()))
    assert outcome.result.model.provider == "p1"
    assert world.asked[1][1] == pytest.approx(5.0)


def test_the_idle_timer_counts_from_event_to_event() -> None:
    drip = tuple((0.6, b"c\n") for _ in range(50))
    world = World([Script(body=((0.0, b"tx\n"), *drip))], [GOOD], timeouts=Timeouts(between_tokens=3.0))
    outcome = world.run()
    assert isinstance(outcome.error, StreamFailed)
    assert isinstance(outcome.error.__cause__, TimedOut)
    assert outcome.error.__cause__.timer is Timer.BETWEEN_TOKENS
    assert outcome.ended == pytest.approx(3.0)
    assert len(world.asked) == 1
    steady = World(
        [Script(body=(*((2.9, b"tx\n") for _ in range(50)), (0.0, b"f\n")))], timeouts=Timeouts(between_tokens=3.0)
    )
    assert steady.run().error is None, "the deadline of a call bounds a stream only until its first content"


def test_a_slow_consumer_is_not_idleness() -> None:
    call = World([GOOD], timeouts=Timeouts(between_tokens=3.0)).core.start(Stream(World([GOOD]).request()), 0.0)
    opened = call.next_command(0.0)
    assert isinstance(opened, Open)
    call.receive_head(1, 200, [], 0.1)
    assert isinstance(call.next_command(0.1), Read)
    assert call.receive_data(1, b"ta\n", 0.2)
    for late in (100.0, 200.0, 300.0):  # the consumer takes its time between two reads
        command = call.next_command(late)
        assert isinstance(command, Read)
        assert command.idle == 3.0
        assert call.receive_data(1, b"tb\n", late + 2.9)


def test_total_bounds_a_stream_s_whole_life() -> None:
    world = World([Script(body=tuple((1.0, b"tx\n") for _ in range(100)))])
    outcome = world.run(total_timeout=5.5)
    assert isinstance(outcome.error, StreamFailed)
    assert isinstance(outcome.error.__cause__, DeadlineExceeded)
    assert outcome.ended == pytest.approx(5.5)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "xxxxx"


def test_the_timeout_of_a_call_replaces_that_of_its_model_and_of_the_router() -> None:
    world = World([Script(end="silent")], timeout=50.0)
    model = ModelConfig("p0", "m", timeout=20.0)
    for given, ended in ((None, 20.0), (5.0, 5.0), (90.0, 90.0)):
        world.simulation.now = 0.0
        outcome = world.run(Chat(ChatRequest(model, [Message.user("x")])), timeout=given)
        assert isinstance(outcome.error, DeadlineExceeded)
        assert outcome.ended - outcome.began == pytest.approx(ended)


def test_a_deadline_keeps_the_error_before_it() -> None:
    world = World([failing(500)], max_retries=50, max_attempts=100, backoff_initial=2.0, timeout=5.0)
    outcome = world.run(Chat(world.request()))
    assert isinstance(outcome.error, ServerError), "a wait that does not fit is not begun"
    assert outcome.ended < 5.0


def test_content_and_a_fault_in_one_read_are_withheld() -> None:
    world = World([Script(body=((0.0, lines("tlost", "e500")),)), GOOD])
    outcome = world.run()
    assert outcome.error is None
    assert text_of(event for _, event in outcome.events) == "onetwo"


def test_a_committed_stream_raises_with_what_came() -> None:
    world = World([CUT], [GOOD])
    outcome = world.run()
    assert isinstance(outcome.error, StreamFailed)
    assert isinstance(outcome.error.__cause__, Disconnected)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == text_of(event for _, event in outcome.events) == "onetwo"
    assert outcome.error.partial.trace is outcome.call.trace
    assert len(world.asked) == 1


def test_what_stands_before_a_fault_is_delivered_once_committed() -> None:
    world = World([Script(body=((0.0, b"ta\n"), (0.1, lines("tb", "tc", "e500"))))])
    outcome = world.run()
    assert text_of(event for _, event in outcome.events) == "abc"
    assert isinstance(outcome.error, StreamFailed)
    assert isinstance(outcome.error.__cause__, ServerError)


def test_a_truncated_stream_is_no_success() -> None:
    outcome = World([Script(body=((0.0, b"ta\n"), (0.0, b"tb\n")))]).run()
    assert isinstance(outcome.error, StreamTruncated)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "ab"


def test_collect_begins_again_in_silence_and_keeps_what_broke() -> None:
    world = World([CUT, GOOD])
    outcome = world.run(Chat(world.request(), collect=True))
    assert (outcome.result.text, outcome.events) == ("onetwo", [])
    broken = World([CUT], max_retries=0)
    outcome = broken.run(Chat(broken.request(), collect=True))
    assert isinstance(outcome.error, StreamFailed)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "onetwo"


def test_a_stale_connection_is_replaced_at_once_and_counts_for_nothing() -> None:
    stale = Script(reset="reused")
    world = World([stale, stale, GOOD], max_retries=0)
    outcome = world.run()
    assert outcome.error is None
    assert [now for _, now in world.asked] == [0.0, 0.0, 0.0]
    always = World([stale], max_retries=1)
    assert isinstance(always.run().error, Disconnected)
    assert len(always.asked) == 4


def test_all_errors_of_all_candidates_are_kept() -> None:
    world = World([failing(401)], [failing(503)], max_retries=1)
    outcome = world.run()
    error = outcome.error
    assert isinstance(error, AllAttemptsFailed)
    assert [type(each) for each in error.errors] == [
        errors.AuthenticationFailed,
        errors.Overloaded,
        errors.Overloaded,
    ]
    assert error.__cause__ is error.last is error.errors[-1]
    assert "p0" in str(error)
    assert "p1" in str(error)


def test_attempts_are_bounded_in_all() -> None:
    world = World([failing(500)], [failing(500)], max_retries=5, max_attempts=3)
    error = world.run().error
    assert isinstance(error, AllAttemptsFailed)
    assert error.is_all(ServerError)
    assert error.status == 500
    assert [url for url, _ in world.asked] == ["p0.test/stream"] * 2 + ["p1.test/stream"]


def test_after_the_terminator_the_connection_gets_a_moment_to_end() -> None:
    world = World([Script(body=((0.0, lines("ta", "f")),), end="silent")], timeouts=Timeouts(drain=0.2))
    outcome = world.run()
    assert outcome.error is None
    assert outcome.events[-1][0] == 0.0, "the caller has the end at once"
    assert outcome.ended == pytest.approx(0.2)
    more = World([Script(body=((0.0, lines("ta", "f")), (0.1, b"padding\n")), end="cut")])
    assert more.run().error is None


def test_cancelled_calls_are_over_at_once() -> None:
    for at in (0.0, 0.5, 1.5, 2.5):
        world = World([failing(500, head=1.0), Script(head=1.0, body=((1.0, b"ta\n"),))], backoff_initial=0.0)
        outcome = world.run(cancel_at=at)
        assert outcome.finish == Finish()
        assert outcome.ended == at
        assert world.core.scheduler.in_flight == 0


def test_places_are_given_in_order_and_passed_on() -> None:
    slow = Script(head=1.0, body=((0.0, lines("ta", "f")),))
    world = World([slow], max_concurrency=1)
    for number in range(4):
        world.simulation.call(Stream(world.request()), at=number * 0.1, cancel_at=0.5 if number == 1 else None)
    world.simulation.run()
    assert [now for _, now in world.asked] == pytest.approx([0.0, 1.0, 2.0])
    assert [outcome.error for outcome in world.simulation.outcomes] == [None] * 4
    assert world.core.scheduler.in_flight == 0
    _, waited, *_ = world.simulation.outcomes[2].call.trace.entries
    assert waited.kind == "queued"


def test_a_full_router_rejects_where_it_was_told_to() -> None:
    for policy in ({"when_at_capacity": "reject"}, {"max_pending": 0}):
        world = World([Script(head=1.0)], max_concurrency=1, **policy)
        world.simulation.call(Stream(world.request()))
        assert isinstance(world.run(at=0.1).error, ConcurrencyExceeded)


def test_waiting_for_a_place_ends_with_the_deadline() -> None:
    world = World([Script(head=50.0)], max_concurrency=1)
    world.simulation.call(Stream(world.request()))
    outcome = world.run(at=0.0, timeout=2.0)
    assert isinstance(outcome.error, DeadlineExceeded)
    assert "waited in the queue" in str(outcome.error)
    assert outcome.ended == 2.0
    assert world.core.scheduler.in_flight == 0


def test_wrong_calls_change_nothing() -> None:
    call = World([GOOD]).core.start(Stream(World([GOOD]).request()), 0.0)
    with pytest.raises(LocalProtocolError):
        call.receive_head(1, 200, [], 0.0)
    assert isinstance(call.next_command(0.0), Open)
    for wrong in (
        lambda: call.next_command(0.0),
        lambda: call.receive_head(2, 200, [], 0.0),
        lambda: call.receive_data(7, b"x", 0.0),
    ):
        with pytest.raises(LocalProtocolError):
            wrong()
    assert (call.response, call.committed, call.finished) == (None, False, False)
    call.receive_head(1, 200, [], 0.0)
    with pytest.raises(LocalProtocolError):
        call.receive_head(1, 200, [], 0.0)
    assert call.receive_data(1, b"ta\n", 0.0)
    assert call.response is not None
    assert call.response.text == "a"
    assert call.model == ModelConfig("p0", "m")
    call.receive_data(1, b"f\n", 0.0)
    call.receive_end(1, 0.0)
    assert isinstance(call.next_command(0.0), Close)
    assert isinstance(call.next_command(0.0), Finish)
    assert isinstance(call.next_command(0.0), Finish)


def test_a_backoff_sleeps_no_longer_than_the_deadline() -> None:
    core = World([GOOD], backoff_initial=4.0).core
    call = core.start(Stream(World([GOOD]).request()), 0.0, None, CallOptions(timeout=9.0))
    call.next_command(0.0)
    call.receive_failure(1, ConnectFailed("refused"), 0.0)
    assert isinstance(call.next_command(0.0), Close)
    sleep = call.next_command(0.0)
    assert isinstance(sleep, Sleep)
    assert 0 < sleep.until <= 4.0
    assert isinstance(call.next_command(sleep.until), Open)


def test_candidates_that_cannot_be_asked_are_skipped_with_their_reason() -> None:
    core = RouterCore()
    core.register(LineProvider("keyless", missing_env=("KEY_A",)))
    core.register(LineProvider("off"), enabled=False)
    core.register(LineProvider("blind"))
    models = [ModelConfig(name, "m") for name in ("keyless", "off", "blind")]
    plain = ChatRequest(models[0], [Message.user("x")], fallbacks=models[1:])
    assert [status.reason for status in core.explain_plan(plain)] == [
        "not configured, KEY_A is missing",
        "disabled",
        "",
    ]
    assert [status.status for status in core.statuses(0.0)] == ["not-configured", "disabled", "available"]
    picture = Message.user(Image("http://x.test/a.png"))

    def error_of(*models: ModelConfig, message: Message = picture) -> Any:
        call = core.start(Chat(ChatRequest(models[0], [message], fallbacks=models[1:])), 0.0)
        finish = call.next_command(0.0)
        assert isinstance(finish, Finish)
        return finish.error

    assert isinstance(error_of(*models), MissingCredentials)
    assert error_of(*models).missing_env == ("KEY_A",)
    assert isinstance(error_of(models[1]), ProviderUnavailable)
    assert isinstance(error_of(models[2]), CapabilityUnsupported)
    assert isinstance(error_of(models[1], models[2]), ProviderUnavailable)
    assert isinstance(error_of(models[2], ModelConfig("nobody", "m")), ProviderNotRegistered)
    with pytest.raises(ProviderNotRegistered, match="it has: blind, keyless, off"):
        core.explain_plan(ChatRequest(ModelConfig("nobody", "m"), [Message.user("x")]))
    with pytest.raises(ValueError, match="registered already"):
        core.register(LineProvider("off"))
    core.register(LineProvider("off"), replace=True)
    assert core.explain_plan(EmbeddingRequest(models[1], "x"))[0].status == "available"


@pytest.mark.parametrize("reason", ["", "name", "refused", "certificate", "tls", "proxy", "proxy-refused"])
def test_no_connection_that_waiting_does_not_mend_is_not_tried_again(reason: str) -> None:
    lasting = reason in ("certificate", "tls", "proxy-refused")
    failure = classify(ConnectFailed("no", reason=reason))
    assert failure is (FailureClass.CONNECT_CONFIG if lasting else FailureClass.CONNECT)
    assert RULES[failure].action is (Action.FALLBACK if lasting else Action.RETRY)
    assert RULES[failure].health
    entry = failure_entry(0.0, 1, failure, Phase.SENT, ConnectFailed("no", reason=reason))
    assert (entry.code, entry.phase) == (reason or None, Phase.NOT_SENT)


def test_what_a_dialect_cannot_say_moves_on() -> None:
    class Mute(LineProvider):
        def stream(self, request: ChatRequest) -> Any:
            raise CapabilityUnsupported("cannot be said here")

    world = World([GOOD], [GOOD])
    world.core.register(Mute("p0"), replace=True)
    assert world.run().result.model.provider == "p1"
    alone = World([GOOD])
    alone.core.register(Mute("p0"), replace=True)
    assert isinstance(alone.run().error, CapabilityUnsupported)
    assert alone.core.scheduler.in_flight == 0


def test_every_error_has_a_class_and_every_class_a_rule() -> None:
    assert set(RULES) == set(FailureClass)
    assert classify(errors.TimedOut(timer=Timer.CONNECT)) is FailureClass.CONNECT_TIMEOUT
    assert classify(errors.TimedOut(timer=Timer.BETWEEN_TOKENS)) is FailureClass.STREAM_STALLED
    assert classify(errors.TimedOut(timer=Timer.RESPONSE_HEADERS)) is FailureClass.NO_RESPONSE
    assert classify(errors.Disconnected(reused=True)) is FailureClass.STALE_CONNECTION
    assert classify(errors.Disconnected()) is FailureClass.DISCONNECTED
    assert classify(errors.TransportError()) is FailureClass.TRANSPORT
    assert classify(errors.ContextLengthExceeded()) is FailureClass.CONTEXT_LENGTH
    assert classify(errors.ProviderError()) is FailureClass.SERVER


def test_backoff_is_full_jitter_under_a_ceiling() -> None:
    policy, rng = Policy(backoff_initial=0.5, backoff_max=8.0), random.Random(3)
    for retry in range(1, 80):
        ceiling = min(8.0, 0.5 * 2 ** (retry - 1))
        drawn = [backoff_seconds(retry, None, policy, rng) for _ in range(50)]
        assert all(0 <= wait <= ceiling for wait in drawn)
        assert max(drawn) > ceiling / 2
        assert all(3.0 <= backoff_seconds(retry, 3.0, policy, rng) <= 3.3 for _ in range(50))


def test_a_trace_is_plain_values() -> None:
    world = World([failing(503, headers=(("retry-after", "1"),))], [GOOD], max_retries=1)
    outcome = world.run(wall=1000.0)
    told = outcome.call.trace.to_dict()
    assert (told["version"], told["operation"], told["started_at"]) == (4, "stream", 1000.0)
    assert [entry["kind"] for entry in told["entries"]] == [
        "started", "response-started", "failed", "retrying", "started", "response-started", "failed", "fell-back",
        "started", "response-started", "first-content", "completed", "answered",
    ]  # fmt: skip
    said = outcome.call.trace.explain()
    assert "retry after 1 s" in said
    assert "answered by p1/m" in said


def test_a_deadline_in_the_middle_of_a_collected_answer_keeps_what_came() -> None:
    world = World([Script(body=tuple((1.0, b"tx\n") for _ in range(50)))], timeout=5.5)
    outcome = world.run(Chat(world.request(), collect=True))
    assert isinstance(outcome.error, DeadlineExceeded)
    assert "was responding" in str(outcome.error)
    assert outcome.error.partial is not None
    assert outcome.error.partial.text == "xxxxx"
