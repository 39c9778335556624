"""Targets of what other programs send to a gateway and to its shared store: requests, and replies in RESP."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

from benchmarks.fuzz.target import Finding, Run, Target
from turnout.chat import ModelConfig
from turnout.redaction import escape_controls
from turnout.serving import (
    ChatCompletions,
    Messages,
    ReadOptions,
    RequestRejected,
    Resolve,
    Responses,
    read_embedding_request,
)
from turnout.shared.store.resp import RespParser
from turnout.shared.store.session import ScriptCall, Session

__all__ = ["SERVED"]

# -- requests ---------------------------------------------------------------------------------------------------------

ReadRequest = Callable[[bytes, Resolve, ReadOptions], Any]
_LONGEST = 2_000  # characters of an error that a client gets


def _resolve(name: str) -> tuple[ModelConfig, ...]:
    return (ModelConfig("openai", name.replace("/", "-").strip() or "m"),)


def _request(read: ReadRequest, build_error: Callable[[Any, str], bytes]) -> Run:
    def run(pieces: list[bytes]) -> object:
        try:
            inbound = read(b"".join(pieces), _resolve, ReadOptions())
        except RequestRejected as rejected:
            message = rejected.error.message
            if len(message) > _LONGEST:
                raise Finding(f"an error of {len(message)} characters") from rejected
            json.loads(build_error(rejected.error, "r"))
            return rejected.error.status, escape_controls(message)
        return repr(inbound)

    return run


def _read_embedding(body: bytes, resolve: Resolve, options: ReadOptions) -> Any:
    return read_embedding_request(body, resolve, options, lambda name: None)


_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
_FUNCTION = {"name": "f", "description": "d", "parameters": _SCHEMA}
_PNG = "data:image/png;base64,aGk="
_CHAT = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": _PNG}}]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "c", "content": "r"},
    ],
    "tools": [{"type": "function", "function": _FUNCTION}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}},
    "stop": ["a"],
    "temperature": 0.5,
    "stream_options": {"include_usage": True},
}
_MESSAGES = {
    "model": "m",
    "max_tokens": 5,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "https://a/b.png"}}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "t", "signature": "s"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r", "is_error": True}]},
    ],
    "tools": [{"name": "f", "input_schema": _SCHEMA}],
    "thinking": {"type": "enabled", "budget_tokens": 1024},
}
_RESPONSES = {
    "model": "m",
    "instructions": "i",
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        {"type": "reasoning", "id": "r", "summary": [], "encrypted_content": "x"},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "r"},
    ],
    "tools": [{"type": "function", **_FUNCTION}, {"type": "web_search"}],
    "text": {"format": {"type": "json_schema", "name": "n", "schema": _SCHEMA}},
    "reasoning": {"effort": "low"},
}
_EMBEDDING = {"model": "m", "input": ["a", "b"], "dimensions": 5, "encoding_format": "base64"}


def _seed(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()


# -- the shared store -------------------------------------------------------------------------------------------------


def _resp(pieces: list[bytes]) -> object:
    parser = RespParser()
    values = [value for piece in pieces for value in parser.receive_data(piece)]
    parser.receive_end()
    return repr(values), str(parser.failure)


_SCRIPT = "return 1"
_DIGEST = hashlib.sha1(_SCRIPT.encode(), usedforsecurity=False).hexdigest().encode()
_HELLO = b"%2\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n"
_LOGIN = (
    _HELLO + b"$40\r\n" + _DIGEST + b"\r\n>3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
    b"*2\r\n$2\r\n12\r\n$6\r\n345678\r\n%1\r\n$1\r\nv\r\n$1\r\n7\r\n"
    b"%1\r\n$16\r\nmaxmemory-policy\r\n$11\r\nallkeys-lru\r\n"
)
_NOTICES = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n-MOVED 3999 127.0.0.1:6381\r\n:5\r\n"


def _session(*, logged_in: bool) -> Run:
    def run(pieces: list[bytes]) -> object:
        session = Session({"window": _SCRIPT}, "c", password="fuzz-key-12345678")
        session.begin()
        if logged_in:
            session.receive_data(_LOGIN)
            session.run(ScriptCall("window", "k", ("a",)))
        events = [event for piece in pieces for event in session.receive_data(piece)]
        if "fuzz-key-12345678" in f"{session!r}{session.failure}":
            raise Finding("the session shows its password")
        return repr(events), str(session.failure), session.pending

    return run


SERVED = (
    Target("chat-request", _request(ChatCompletions().read_request, ChatCompletions().build_error), (_seed(_CHAT),)),
    Target("messages-request", _request(Messages().read_request, Messages().build_error), (_seed(_MESSAGES),)),
    Target("responses-request", _request(Responses().read_request, Responses().build_error), (_seed(_RESPONSES),)),
    Target("embedding-request", _request(_read_embedding, ChatCompletions().build_error), (_seed(_EMBEDDING),)),
    Target("resp", _resp, (_LOGIN, _NOTICES, b"*-1\r\n$-1\r\n,1.5\r\n#t\r\n_\r\n|1\r\n+a\r\n:1\r\n(99999999999\r\n")),
    Target("store-login", _session(logged_in=False), (_LOGIN, _HELLO + b"-NOPERM no right\r\n")),
    Target("store-session", _session(logged_in=True), (_NOTICES, b"-NOSCRIPT none\r\n:5\r\n")),
)
