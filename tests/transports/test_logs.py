"""The logger `turnout`: one line for each call, decisions at DEBUG, and never a prompt or a key."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

from turnout import Message
from turnout.errors import TurnoutError
from turnout.providers import create
from turnout.routing import Hedge, Policy
from turnout.trace import Trace
from turnout_io.asyncio import Router as AsyncRouter
from turnout_io.caching import MemoryCache
from turnout_io.logs import show_logs, summary
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

SECRET = "the prompt of a user"


def ask(sandbox: Sandbox) -> None:
    environ = {**sandbox.environ(), "OPENAI_API_KEY": "sk-secret"}
    with Router.from_env(environ=environ, dotenv=None, max_retries=0) as router:
        router.chat("openai/gpt-4o-mini", [Message.user(SECRET)], fallbacks=["gemini/gemini-2.5-flash"])


def test_a_call_is_one_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "turnout")
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=503))
        ask(sandbox)
    assert len(caplog.records) == 1
    assert caplog.messages[0].startswith("chat answered by gemini/gemini-2.5-flash after ")
    assert "2 attempts" in caplog.messages[0]


def test_decisions_are_at_debug_and_no_line_has_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "turnout")
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=401))
        ask(sandbox)
    assert any("giving up on openai/gpt-4o-mini" in message for message in caplog.messages)
    assert [record.levelno for record in caplog.records].count(logging.INFO) == 1
    assert SECRET not in caplog.text
    assert "sk-secret" not in caplog.text


def test_a_failed_call_says_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "turnout")
    with Sandbox() as sandbox:
        sandbox.script("openai", Fault(status=503))
        sandbox.script("gemini", Fault(status=503))
        with pytest.raises(TurnoutError):
            ask(sandbox)
    assert "failed after" in caplog.messages[0]


def test_a_trace_without_entries_has_a_line() -> None:
    assert summary(Trace("stream", ("a/b",))) == "stream over a/b: ended early, 0 attempts"


def test_a_wrong_level_is_named() -> None:
    with pytest.raises(ValueError, match="TURNOUT_LOG must be debug, info, warning or error, not 'loud'"):
        show_logs({"TURNOUT_LOG": "loud"})


PROGRAM = """
from turnout_io.sync import Router
from turnout_io.testing import ScriptedTransport
transport = ScriptedTransport()
transport.answer("openai", "Hello")
with Router.from_env(environ={"OPENAI_API_KEY": "k"}, dotenv=None, transport=transport) as router:
    router.chat("openai/gpt-4o-mini", "Hello")
"""


@pytest.mark.slow
def test_a_variable_shows_the_lines() -> None:
    import os

    environ = {**os.environ, "TURNOUT_LOG": "info"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("turnout INFO chat answered by openai/gpt-4o-mini") == 1


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [("turnout_io.trio", "trio", "turnout[trio]"), ("turnout_io.price_list", "genai_prices", "turnout[prices]")],
)
def test_a_missing_extra_is_named(module: str, package: str, extra: str) -> None:
    program = f"import sys; sys.modules[{package!r}] = None; import {module}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert f"{module} needs" in done.stderr
    assert f"pip install '{extra}'" in done.stderr


@pytest.mark.parametrize(
    ("url", "logged"),
    [
        ("http://models.test/v1", True),
        ("http://192.0.2.1/v1", True),
        ("https://models.test/v1", False),
        ("http://localhost:1/v1", False),
        ("http://127.0.0.1:1/v1", False),
        ("http://[::1]:1/v1", False),
    ],
)
def test_a_key_over_plain_http_is_logged_once(url: str, logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    with Router([create("openai", api_key="sk-secret-0123", base_url=url)]) as router:
        router.health()
    lines = [record.getMessage() for record in caplog.records if "plain http" in record.getMessage()]
    assert lines == ["provider openai sends its key over plain http to another host"] * logged
    assert "sk-secret" not in caplog.text


def test_no_key_over_plain_http_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with Router([create("openai-compatible", base_url="http://models.test/v1")]):
        pass
    assert "plain http" not in caplog.text


def test_a_hedge_in_the_blocking_router_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    Router(policy=Policy(hedge=Hedge()))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("hedge has no effect in the blocking router")
    caplog.clear()
    AsyncRouter(policy=Policy(hedge=Hedge()))
    assert not caplog.records


def test_a_time_to_live_of_a_cache_is_named() -> None:
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'ttl': write MemoryCache\(.*max_age"):
        MemoryCache(ttl=5)  # type: ignore[call-arg]
