"""Servers that were written elsewhere speak Responses, Messages and Ollama's own API: sync and trio read them alike.

`.ci/full.d/servers` installs them and sets the variables. Behind each is llama.cpp with a model of 135 million
parameters, so nothing is required of the words of an answer.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest
import trio

from tests.peers.neighbours import free_port, running
from turnout import ChatRequest, Message, ModelConfig
from turnout.chat import ChatResponse, FinishReason
from turnout.errors import AuthenticationFailed
from turnout.events import End, Event, Token
from turnout.providers import Provider, create
from turnout.routing.policy.settings import Policy
from turnout_io.sync import Router
from turnout_io.trio import Router as TrioRouter

ENGINE = os.environ.get("TURNOUT_ENGINE_PYTHON")
RESPONSES = os.environ.get("TURNOUT_RESPONSES_PYTHON")
OLLAMA = os.environ.get("TURNOUT_OLLAMA_PYTHON")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.full,
    pytest.mark.timeout(1500),  # a bound against hanging, for a busy machine
    pytest.mark.skipif(None in (ENGINE, RESPONSES, OLLAMA), reason="see .ci/full.d/servers"),
]
KEY = "sk-local"
POLICY = Policy(timeout=600, max_retries=0)


@attrs.frozen
class Servers:
    """The addresses of the servers."""

    engine: str
    responses: str
    ollama: str


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Start llama.cpp, and the two servers in front of it."""
    ports = [free_port() for _ in range(3)]
    engine, responses, ollama = (f"http://127.0.0.1:{port}" for port in ports)
    program = str(Path(__file__).parent / "clients" / "engine.py")
    settings = {
        "OPENAI_BASE_URL_INTERNAL": engine,
        "OPENAI_BASE_URL": responses,
        "OPENAI_API_KEY": KEY,
        "PROVIDERS_LOCAL_BASE_URL": f"{engine}/v1",
        "PROVIDERS_LOCAL_API_KEY": KEY,
    }
    with pytest.MonkeyPatch.context() as environment:
        for name, value in settings.items():
            environment.setenv(name, value)
        listen = ("--host", "127.0.0.1", "--port")
        adapter = "open_responses_server.server_entrypoint:app"
        commands = (
            [str(ENGINE), program, str(ports[0])],
            [str(RESPONSES), "-m", "uvicorn", adapter, *listen, str(ports[1])],
            [str(OLLAMA), "-m", "ollama_proxy", "serve", *listen, str(ports[2])],
        )
        folders = [tmp_path_factory.mktemp(name) for name in ("engine", "responses", "ollama")]
        with (
            running(commands[0], ports[0], folders[0]) as process,
            running(commands[1], ports[1], folders[1]),
            running(commands[2], ports[2], folders[2]),
        ):
            _wait_for_model(engine, process)
            yield Servers(engine, responses, ollama)


def _wait_for_model(engine: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{engine}/health", timeout=5):
                return
        except (OSError, urllib.error.HTTPError):
            assert process.poll() is None, "the engine has ended"
            time.sleep(0.1)
    raise AssertionError("the engine does not load its model")


Make = Callable[[Servers], Provider]
CASES: dict[str, tuple[Make, str, bool]] = {
    # The server's name: the provider, the model, and whether it also answers requests that are no stream.
    "llama.cpp, chat completions": (
        lambda servers: create("llama-cpp", api_key=KEY, base_url=f"{servers.engine}/v1"),
        "smollm2",
        True,
    ),
    "llama.cpp, Responses": (
        lambda servers: create("openai-compatible", api_key=KEY, base_url=f"{servers.engine}/v1", api="responses"),
        "smollm2",
        True,
    ),
    "llama.cpp, Messages": (
        lambda servers: create("anthropic", api_key=KEY, base_url=servers.engine),
        "smollm2",
        True,
    ),
    # It answers `null` to a request that is no stream.
    "open-responses-server": (
        lambda servers: create("openai-compatible", api_key=KEY, base_url=servers.responses, api="responses"),
        "smollm2",
        False,
    ),
    "ollama-proxy-plus": (lambda servers: create("ollama", base_url=servers.ollama), "local/smollm2", True),
}
EACH = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def _request(provider: Provider, model: str) -> ChatRequest:
    turns = [Message.user("Hi"), Message.assistant("Hello."), Message.user("Name a fruit.")]
    return ChatRequest(ModelConfig(provider.name, model, max_tokens=12), turns)


def _check(events: list[Event], response: ChatResponse) -> None:
    _check_whole(response)
    assert "".join(event.delta for event in events if isinstance(event, Token)) == response.text
    assert [type(event) for event in events].count(End) == 1
    assert isinstance(events[-1], End)


def _check_whole(response: ChatResponse) -> None:
    assert response.text.strip()
    assert response.finish_reason in (FinishReason.STOP, FinishReason.LENGTH)


@EACH
def test_the_blocking_router(servers: Servers, case: tuple[Make, str, bool]) -> None:
    make, model, answers_whole = case
    provider = make(servers)
    with Router([provider], policy=POLICY) as router:
        request = _request(provider, model)
        _check_whole(router.chat(request, collect=not answers_whole))
        with router.stream(request) as stream:
            _check(list(stream), stream.response)


@EACH
def test_the_trio_router(servers: Servers, case: tuple[Make, str, bool]) -> None:
    make, model, answers_whole = case
    provider = make(servers)

    async def main() -> None:
        async with TrioRouter([provider], policy=POLICY) as router:
            request = _request(provider, model)
            _check_whole(await router.chat(request, collect=not answers_whole))
            async with router.stream(request) as stream:
                _check([event async for event in stream], stream.response)

    trio.run(main)


def test_a_wrong_key(servers: Servers) -> None:
    wrong = create("anthropic", api_key="sk-wrong", base_url=servers.engine)
    with Router([wrong], policy=POLICY) as router, pytest.raises(AuthenticationFailed):
        router.chat(_request(wrong, "smollm2"))
