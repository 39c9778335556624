"""The status of an error response decides, even if its body is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from turnout import ChatRequest, ModelConfig
from turnout.errors import (
    AuthenticationFailed,
    ContentFiltered,
    Disconnected,
    Overloaded,
    ProviderError,
    RateLimited,
    TurnoutError,
)
from turnout.providers import create
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.testing import STALL, Reply, ScriptedTransport

POLICY = Policy(max_retries=0)


def ask(router: Router, *, stream: bool) -> None:
    request = ChatRequest("first/m", "Hi", fallbacks=[ModelConfig("second", "m")])
    if not stream:
        router.chat(request)
        return
    with router.stream(request) as answer:
        list(answer)


def failure(status: int, moves: list[Any], headers: dict[str, str], *, stream: bool) -> TurnoutError:
    """Return the error of the first candidate. The second one fails, too."""
    names = ("first", "second")
    providers = [create("openai-compatible", name=name, base_url=f"https://{name}.test/v1") for name in names]
    transport = ScriptedTransport()
    transport.add(Reply(status, moves, headers), when=lambda request: "first.test" in request.url)
    missing = Reply(404, {"error": {"message": "no such model"}})
    transport.add(missing, when=lambda request: "second.test" in request.url)
    with Router(providers, policy=POLICY, transport=transport) as router, pytest.raises(TurnoutError) as caught:
        ask(router, stream=stream)
    first: TurnoutError = getattr(caught.value, "errors", (caught.value,))[0]
    return first


def error_body(message: str, code: str | None) -> bytes:
    return json.dumps({"error": {"message": message, "code": code}}).encode()


ENDS: list[Callable[[], Any]] = [lambda: None, lambda: Disconnected("reset"), lambda: STALL]


@pytest.mark.parametrize("end", ENDS, ids=["clean", "reset", "stall"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, error_body("no", "invalid_api_key"), AuthenticationFailed),
        (503, b'{"error": {"mess', Overloaded),
        (503, b"", Overloaded),
        (400, error_body("blocked", "content_policy_violation"), ContentFiltered),
        (429, error_body("slow down", None), RateLimited),
    ],
)
def test_the_status_and_the_code_that_arrived_decide(
    end: Callable[[], Any], stream: bool, status: int, body: bytes, kind: type[ProviderError]
) -> None:
    moves = [*([body] if body else []), *([end()] if end() is not None else [])]
    error = failure(status, moves, {"retry-after": "3"}, stream=stream)
    assert type(error) is kind
    assert isinstance(error, ProviderError)
    assert (error.status, error.retry_after) == (status, 3.0)
