"""Failures of providers over real sockets. The sandbox fails as scripted; the router retries, falls back or raises."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from tests.transports.drivers.runners import DRIVERS, GEMINI, OPENAI, Blocking, Driver, ask
from turnout import ChatRequest, End, Image, Message, ModelConfig, contract
from turnout.errors import (
    AllAttemptsFailed,
    AuthenticationFailed,
    ConnectFailed,
    DeadlineExceeded,
    MissingCredentials,
    Overloaded,
    ProviderNotRegistered,
    StreamFailed,
    StreamInterrupted,
    StreamTruncated,
)
from turnout.providers import create
from turnout.routing import BreakerPolicy
from turnout_io import sync
from turnout_io import trio as trio_driver
from turnout_io.sandbox import Fault, Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


@DRIVERS
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=503),
        Fault(status=401),
        Fault(status=404),
        Fault(abort="reset", after_tokens=0),
        Fault(corruption="json", after_tokens=0),
    ],
    ids=["500", "503", "401", "404", "reset", "garbage"],
)
def test_a_failing_primary_is_replaced_by_the_fallback(driver: Driver, fault: Fault, sandbox: Sandbox) -> None:
    sandbox.script("openai", fault, forever=True)
    router = driver(sandbox, backoff_initial=0.01)
    events, stream = router.stream(ask(OPENAI, GEMINI))
    if fault.corruption is None:  # one invalid event is skipped, and the stream continues
        assert stream.model == GEMINI
    assert isinstance(events[-1], End)
    assert stream.trace.entries[-1].kind == "answered"


@DRIVERS
def test_a_retry_waits_as_long_as_retry_after(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=429, headers={"retry-after-ms": "80"}))
    reply = driver(sandbox, backoff_initial=0).chat(ask(OPENAI, GEMINI))
    assert reply.model == OPENAI
    first, second = sandbox.requests_to("openai")
    assert second.at - first.at >= 0.08


@DRIVERS
def test_a_cut_stream_raises_with_the_partial_text(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))
    with pytest.raises(StreamInterrupted) as caught:
        driver(sandbox).stream(ask(OPENAI, GEMINI))
    assert caught.value.partial is not None
    assert caught.value.partial.text
    assert len(sandbox.requests) == 1, "nothing is retried once content has reached the caller"


@DRIVERS
def test_a_stream_without_its_end_is_truncated(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="end", after_tokens=5))
    with pytest.raises(StreamTruncated) as caught:
        driver(sandbox).stream(ask(OPENAI))
    assert caught.value.partial is not None
    assert caught.value.partial.text


@DRIVERS
def test_collect_restarts_a_cut_stream(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="reset", after_tokens=5))
    reply = driver(sandbox, backoff_initial=0.01).chat(ask(OPENAI), collect=True)
    assert reply.text
    assert reply.trace.attempts == 2


@DRIVERS
def test_a_silent_candidate_is_not_retried(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=60), forever=True)
    events, stream = driver(sandbox).stream(ask(OPENAI, GEMINI), timeout=1.0)
    assert stream.model == GEMINI
    assert len(sandbox.requests_to("openai")) == 1
    assert isinstance(events[-1], End)


@DRIVERS
def test_the_deadline_holds(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(delay=60), forever=True)
    with pytest.raises(DeadlineExceeded, match=r"0\.3 s") as caught:
        driver(sandbox).chat(ask(OPENAI), timeout=0.3)
    assert caught.value.trace.entries[-1].at < 30


@DRIVERS
def test_errors_name_the_failed_candidates(driver: Driver, sandbox: Sandbox) -> None:
    router = driver(sandbox, max_retries=0)
    sandbox.script("openai", Fault(status=503), Fault(status=503), forever=True)
    with pytest.raises(Overloaded):
        router.chat(ask(OPENAI))
    sandbox.script("gemini", Fault(status=401), forever=True)
    with pytest.raises(AllAttemptsFailed) as caught:
        router.chat(ask(OPENAI, GEMINI))
    assert [type(error) for error in caught.value.errors] == [Overloaded, AuthenticationFailed]
    assert caught.value.__cause__ is caught.value.last
    with pytest.raises(ProviderNotRegistered, match="'nobody'"):
        router.chat(ask(ModelConfig("nobody", "m"), OPENAI))


def test_only_configured_providers_receive_requests(sandbox: Sandbox) -> None:
    environ = {name: value for name, value in sandbox.environ().items() if name.startswith("GEMINI")}
    with sync.Router.from_env(environ=environ, dotenv=None) as router:
        assert router.chat(ask(OPENAI, GEMINI)).model == GEMINI
        first, second = router.explain_plan(ask(OPENAI, GEMINI))
        assert (first.status, first.missing_env, second.status) == ("not-configured", ("OPENAI_API_KEY",), "available")
        with pytest.raises(MissingCredentials) as caught:
            router.chat(ask(OPENAI, ModelConfig("groq", "m")))
    assert caught.value.missing_env == ("OPENAI_API_KEY", "GROQ_API_KEY")


def test_a_provider_that_was_made_without_its_key_is_told_where_keys_are_read() -> None:
    with sync.Router([create("openai")]) as router, pytest.raises(MissingCredentials) as caught:
        router.chat(ask(OPENAI))
    assert "create() reads no variables: write create('openai', api_key=…)" in str(caught.value)
    assert str(caught.value).endswith("or Router.from_env(), which reads OPENAI_API_KEY")


def test_a_provider_without_image_input_is_skipped(sandbox: Sandbox) -> None:
    picture = Image(data=b"\x89PNG\r\n\x1a\n", media_type="image/png")
    request = ChatRequest(ModelConfig("cerebras", "m"), [Message.user("What is this?", picture)], fallbacks=[GEMINI])
    assert Blocking(sandbox).chat(request).model == GEMINI


def test_a_refused_port_is_a_connect_failure() -> None:
    provider = create("ollama", base_url="http://127.0.0.1:9")
    with sync.Router([provider]) as router, pytest.raises(ConnectFailed, match=r"127\.0\.0\.1:9"):
        router.chat(ask(ModelConfig("ollama", "m")), timeout=1)


def test_a_cooldown_of_one_trio_run_applies_in_the_next(sandbox: Sandbox) -> None:
    """Each run of trio has a clock with another origin."""
    sandbox.script("openai", Fault(status=503, headers={"retry-after": "30"}), forever=True)
    router = trio_driver.Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0)
    rests: list[float] = []

    async def main() -> None:
        async with router:
            await router.chat(ask(OPENAI, GEMINI))
            rests.extend(health.available_in for health in router.health() if health.candidate == str(OPENAI))

    for _ in range(4):
        trio.run(main)
    assert len(sandbox.requests_to("openai")) == 1, "later runs send it no request"
    assert rests == sorted(rests, reverse=True)
    assert all(20.0 < rest <= 30.0 for rest in rests)


@DRIVERS
def test_an_error_in_a_committed_stream_keeps_the_cause(driver: Driver, sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(abort="error", error="overloaded", after_tokens=3, token_interval=0.02))
    with pytest.raises(StreamFailed) as caught:
        driver(sandbox).stream(ask(OPENAI))
    assert isinstance(caught.value.__cause__, Overloaded)


@pytest.mark.parametrize("error", ["auth", "quota"])
def test_a_key_that_was_refused_is_not_available_for_as_long_as_calls_skip_it(error: str) -> None:
    with Sandbox(check_keys=False) as sandbox:
        environ = {**sandbox.environ(), "OPENAI_API_KEYS": "sk-a,sk-b"}
        del environ["OPENAI_API_KEY"]
        router = sync.Router.from_env(environ=environ, dotenv=None)
        sandbox.script("openai", Fault(error=error))
        assert router.chat(ask(OPENAI)).text
        first, second = [status for status in router.statuses() if status.provider.startswith("openai#")]
        assert (first.status, second.status) == ("refused", "available")
        assert first.reason.startswith("openai#1/")
        assert not second.reason
        refused, used = router.health()
        assert refused.state == used.state == "closed"
        assert refused.available_in > 0
        assert refused.reason.startswith("cooldown after ")
        assert not used.available_in
        assert not used.reason
        assert contract.build_status(first)["status"] == "disabled"
        router.reset(refused.candidate)
        assert {status.status for status in router.statuses() if status.provider[:7] == "openai#"} == {"available"}
        router.close()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [(Fault(status=500), "breaker open after server"), (Fault(status=429), "paced, as its provider asks")],
)
def test_health_has_the_reason_why_a_candidate_is_skipped(sandbox: Sandbox, fault: Fault, reason: str) -> None:
    sandbox.script("openai", fault, forever=True)
    breaker = BreakerPolicy(consecutive_failures=1)
    with sync.Router.from_env(environ=sandbox.environ(), dotenv=None, breaker=breaker, max_retries=0) as router:
        assert router.chat(ask(OPENAI, GEMINI)).model == GEMINI
        skipped, used = router.health()
        assert (skipped.reason, used.reason) == (reason, "")
        assert skipped.available_in > 0
        assert {one.status for one in router.statuses() if one.provider in ("openai", "gemini")} == {"available"}
