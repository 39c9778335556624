"""The texts of the errors that end a call: they name models, reasons and times, and stay short."""

from __future__ import annotations

import pickle

import pytest

from tests.sansio.routing.line_dialect import lines
from tests.sansio.routing.small_worlds import DOWN, GOOD, World
from turnout.errors import AllAttemptsFailed, ConcurrencyExceeded, ProviderUnavailable, RateLimited
from turnout.routing.call.operations import Stream
from turnout.routing.policy.settings import BreakerPolicy, Limit
from turnout.routing.replay import replay
from turnout.simulation import Script
from turnout.trace.entries import CandidateBlocked
from turnout_io.sync import Router
from turnout_io.testing import Reply, ScriptedTransport


def test_the_errors_of_several_candidates_name_their_models() -> None:
    outcome = World([DOWN], [Script(refused=True)], max_retries=0).run()
    assert isinstance(outcome.error, AllAttemptsFailed)
    assert str(outcome.error) == "all 2 candidates failed: p0/m: by status (500); p1/m: refused"


def test_a_message_names_ten_candidates_at_most() -> None:
    outcome = World(*[[DOWN]] * 15, max_retries=0, max_attempts=15).run()
    assert str(outcome.error).count("by status") == 10
    assert str(outcome.error).endswith("; and 5 more")


def test_the_number_of_candidates_that_were_tried() -> None:
    outcome = World(*[[DOWN]] * 13, max_retries=0).run()
    assert str(outcome.error).startswith("10 of 13 candidates tried, and each failed: p0/m: ")


def test_all_were_rate_limited() -> None:
    slow_down = Script(status=429, headers=(("retry-after", "200"),))
    error = World([slow_down], [Script(status=429, headers=(("retry-after", "90"),))]).run().error
    assert isinstance(error, RateLimited)
    assert isinstance(error, AllAttemptsFailed)
    assert (error.is_all(RateLimited), error.retry_after, error.status) == (True, 90.0, 429)


def test_an_unavailable_candidate_has_a_reason_and_a_time() -> None:
    world = World([DOWN], breaker=BreakerPolicy(consecutive_failures=1), max_retries=0, when_all_in_cooldown="fail")
    world.run()
    outcome = world.run()
    assert isinstance(outcome.error, ProviderUnavailable)
    assert "breaker open after server: p0/m; the first one is available in 5 s" in str(outcome.error)
    [blocked] = [entry for entry in outcome.call.trace.entries if isinstance(entry, CandidateBlocked)]
    assert blocked.cause == "server"
    assert "p0/m skipped: breaker open after server, for 5 s" in outcome.call.trace.explain()
    assert replay(outcome.call.trace.to_dict()) == ()


def test_a_cooldown_has_its_cause() -> None:
    world = World([Script(status=401)], [GOOD], when_all_in_cooldown="fail")
    world.run()
    outcome = world.run()
    assert outcome.result.model.provider == "p1"
    assert "p0/m skipped: cooldown after authentication, for 60 s" in outcome.call.trace.explain()
    world.core.cool_down("p1/m", 90.0, world.simulation.now)
    error = world.run().error
    assert isinstance(error, ProviderUnavailable)
    assert "cooldown after authentication: p0/m; cooldown after router.cool_down: p1/m" in str(error)


def test_a_full_limit_is_named() -> None:
    world = World(
        [Script(head=9.0, body=GOOD.body)], limits={"p0": Limit(max_concurrency=1)}, when_at_capacity="reject"
    )
    world.simulation.call(Stream(world.request()), at=0.0)
    error = world.run().error
    assert isinstance(error, ConcurrencyExceeded)
    assert "at capacity (limit of p0): p0/m" in str(error)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Script(status=500), "p0/m: by status (500)"),
        (Script(refused=True), "p0/m: refused"),
        (Script(body=((0.0, lines("ta")),), end="cut"), "p0/m: the stream broke after its first content: cut"),
        (Script(head=500.0), "p0/m: no head of a response within 30 s"),
    ],
)
def test_the_error_of_a_single_candidate_names_its_model(script: Script, message: str) -> None:
    error = World([script], max_retries=0).run().error
    assert str(error) == message
    assert str(pickle.loads(pickle.dumps(error))) == message


def test_a_candidate_that_could_not_be_tried_is_counted_and_named() -> None:
    transport = ScriptedTransport()
    transport.add(*[Reply(500, {"error": {"message": "Internal error"}})] * 2)
    settings = {"OPENAI_API_KEY": "k", "GROQ_API_KEY": "k"}
    fallbacks = ["gemini/gemini-2.5-flash", "groq/llama-3.3-70b-versatile"]
    with (
        Router.from_env(environ=settings, dotenv=None, transport=transport, max_retries=0) as router,
        pytest.raises(AllAttemptsFailed) as caught,
    ):
        router.chat("openai/gpt-4o-mini", "hi", fallbacks=fallbacks)
    assert str(caught.value).startswith("2 of 3 candidates tried, and each failed: openai/gpt-4o-mini: ")
    told = "; gemini/gemini-2.5-flash was not tried: not configured, GEMINI_API_KEY is missing"
    assert str(caught.value).endswith(told)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert len(caught.value.errors) == 2
