"""Amazon Bedrock's Converse: one shape for all models, a binary stream with checksums, and AWS's errors."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

import attrs

from turnout_sandbox.answers import ParsedRequest, Turn, compose
from turnout_sandbox.anthropic.requests import read_messages_request
from turnout_sandbox.dialect import Context, dumps, token_of
from turnout_sandbox.errors import ErrorKind, RequestRejected, invalid
from turnout_sandbox.prose import pieces_of
from turnout_sandbox.received import Received
from turnout_sandbox.server.responses import Response, StreamedResponse, UnaryResponse

__all__ = ["BedrockServer"]

_ERRORS = {
    ErrorKind.INVALID: (400, "ValidationException", "The request is not valid."),
    ErrorKind.AUTH: (403, "UnrecognizedClientException", "The security token included in the request is invalid."),
    ErrorKind.PERMISSION: (403, "AccessDeniedException", "You don't have access to the model with the specified ID."),
    ErrorKind.NO_SUCH_MODEL: (400, "ValidationException", "The provided model identifier is invalid."),
    ErrorKind.NO_SUCH_PATH: (404, "UnknownOperationException", "The requested operation is not known."),
    ErrorKind.CONTEXT_LENGTH: (400, "ValidationException", "Input is too long for requested model."),
    ErrorKind.CONTENT_FILTER: (400, "ValidationException", "Output blocked by content filtering policy"),
    ErrorKind.RATE_LIMIT: (429, "ThrottlingException", "Too many requests, please wait before trying again."),
    ErrorKind.QUOTA: (400, "ServiceQuotaExceededException", "Your account has reached a quota of this service."),
    ErrorKind.OVERLOADED: (503, "ServiceUnavailableException", "The service is not able to answer now."),
    ErrorKind.SERVER: (500, "InternalServerException", "The system met an unexpected error."),
    ErrorKind.TIMEOUT: (408, "ModelTimeoutException", "The model did not answer in time."),
}
# The exceptions that a stream may end with.
_IN_STREAM = {
    ErrorKind.RATE_LIMIT: "throttlingException",
    ErrorKind.OVERLOADED: "serviceUnavailableException",
    ErrorKind.INVALID: "validationException",
    ErrorKind.TIMEOUT: "modelStreamErrorException",
}
_STOPS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_VERBS = ("converse", "converse-stream", "count-tokens")
_MEDIA = ("image", "document", "video", "audio")


@attrs.frozen(kw_only=True)
class BedrockServer:
    name: str = "bedrock"
    base: str = ""
    models: tuple[str, ...] = ("anthropic.claude-haiku-4-5-20251001-v1:0", "amazon.nova-lite-v1:0")

    def respond(self, received: Received, context: Context) -> Response:
        _authenticate(received, context)
        known = self.models if context.models is None else tuple(sorted(context.models))
        folder, _, rest = received.path.lstrip("/").partition("/")
        if received.method == "GET" and folder == "foundation-models":
            summaries = [{"modelId": model, "providerName": model.partition(".")[0].title()} for model in known]
            return self._json(200, {"modelSummaries": summaries}, context)
        if received.method == "GET" and folder == "inference-profiles":
            profiles = [{"inferenceProfileId": f"eu.{model}", "status": "ACTIVE"} for model in known]
            return self._json(200, {"inferenceProfileSummaries": profiles}, context)
        model, _, verb = rest.rpartition("/")
        if received.method != "POST" or folder != "model" or verb not in _VERBS:
            raise RequestRejected(ErrorKind.NO_SUCH_PATH)
        if verb == "count-tokens":
            return self._count_tokens(received, context, unquote(model))
        return self._converse(received, context, unquote(model), stream=verb == "converse-stream")

    def error_response(
        self, refused: RequestRejected, context: Context, received: Received | None = None
    ) -> UnaryResponse:
        status, kind, text = _ERRORS[refused.kind]
        unary = self._json(refused.status or status, {"message": refused.message or text}, context)
        return attrs.evolve(
            unary, headers=(*unary.headers, ("x-amzn-errortype", f"{kind}:http://internal.amazon.com/"))
        )

    def _json(self, status: int, body: object, context: Context) -> UnaryResponse:
        fields = (("content-type", "application/json"), ("x-amzn-requestid", token_of(context.rng, 36)))
        return UnaryResponse(status, fields, dumps(body).encode("utf-8", "replace"))

    def _count_tokens(self, received: Received, context: Context, model: str) -> Response:
        counted = received.body.get("input") if isinstance(received.body, Mapping) else None
        converse = counted.get("converse") if isinstance(counted, Mapping) else None
        if not isinstance(converse, Mapping):
            raise invalid("The input of the request must hold a request for Converse.")
        request = _known_request(converse, model, context)
        return self._json(200, {"inputTokens": request.prompt_tokens}, context)

    def _converse(self, received: Received, context: Context, model: str, *, stream: bool) -> Response:
        if not isinstance(received.body, Mapping):
            raise invalid("The body of the request is not a JSON object.")
        request = _known_request(received.body, model, context)
        answer = _BedrockFormat(compose(request, received, context.scripted, f"{self.name}/{model}"), context)
        if not stream:
            return self._json(200, answer.whole(), context)
        kind = context.stream_error()
        exception = _IN_STREAM.get(kind, "internalServerException")
        return StreamedResponse(
            headers=(("content-type", "application/vnd.amazon.eventstream"),),
            opening=(_frame("messageStart", {"role": "assistant"}),),
            tokens=answer.tokens(),
            closing=answer.closing(),
            done=b"",
            broken=_framed("event", "contentBlockDelta", b'{"contentBlockIndex":0,"delta":{"te'),
            error=(_framed("exception", exception, dumps({"message": _ERRORS[kind][2]}).encode()),),
        )


def _known_request(body: Mapping[str, Any], model: str, context: Context) -> ParsedRequest:
    """Read a request for Converse.

    Raises:
        RequestRejected: The body is malformed, or the model is unknown.
    """
    try:
        request = _parsed(body, model)
    except (AttributeError, KeyError, TypeError, ValueError) as fault:
        raise invalid(f"The body of the request is malformed: {fault}") from None
    if not context.knows(model):
        raise RequestRejected(ErrorKind.NO_SUCH_MODEL, model=model)
    return request


def _authenticate(received: Received, context: Context) -> None:
    given = received.headers.get("authorization", "")
    if given.startswith("AWS4-HMAC-SHA256 "):
        return  # only AWS can check a signature
    key = given.removeprefix("Bearer ")
    if not key:
        raise RequestRejected(ErrorKind.AUTH, "Missing Authentication Token")
    if context.key is not None and key != context.key:
        raise RequestRejected(ErrorKind.AUTH)


def _parsed(body: Mapping[str, Any], model: str) -> ParsedRequest:
    """Read the request by the rules of Anthropic's messages: its blocks are the same, with other names."""
    inference = body.get("inferenceConfig") or {}
    config = body.get("toolConfig") or {}
    additional = body.get("additionalModelRequestFields") or {}
    if not isinstance(inference, Mapping) or not isinstance(config, Mapping) or not isinstance(additional, Mapping):
        raise invalid("An object was expected where something else is.")
    messages = body.get("messages")
    words: dict[str, Any] = {
        "model": model,
        "messages": [_message(one) for one in messages] if isinstance(messages, list) else messages,
        "max_tokens": inference.get("maxTokens", 4096),
        "system": "".join(part.get("text", "") for part in body.get("system") or () if isinstance(part, Mapping)),
        "temperature": inference.get("temperature"),
        "stop_sequences": inference.get("stopSequences"),
        "thinking": additional.get("thinking"),
        "tools": [_tool(tool) for tool in config.get("tools") or () if "toolSpec" in tool] or None,
        "tool_choice": _choice(config.get("toolChoice")),
        "output_config": _format(body.get("outputConfig")),
    }
    return read_messages_request({name: value for name, value in words.items() if value not in (None, "")})


def _message(message: Any) -> Any:
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), list):
        return message
    blocks = [_block(block) for block in message["content"] if isinstance(block, Mapping) and "cachePoint" not in block]
    return {**message, "content": blocks}


def _block(block: Mapping[str, Any]) -> dict[str, Any]:
    kind, value = next(iter(block.items()), ("nothing", {}))
    if kind == "text":
        return {"type": "text", "text": value}
    if not isinstance(value, Mapping):
        return {"type": kind}
    if kind in _MEDIA:
        return {"type": "image", "source": value.get("source")}
    if kind == "toolUse":
        return {
            "type": "tool_use",
            "id": value.get("toolUseId"),
            "name": value.get("name"),
            "input": value.get("input"),
        }
    if kind == "toolResult":
        parts = value.get("content")
        said = parts if isinstance(parts, list) else []
        texts = [
            {"type": "text", "text": part["text"]} for part in said if isinstance(part, Mapping) and "text" in part
        ]
        return {"type": "tool_result", "tool_use_id": value.get("toolUseId"), "content": texts}
    if kind == "reasoningContent":
        text = value.get("reasoningText")
        return {"type": "thinking", **text} if isinstance(text, Mapping) else {"type": "redacted_thinking"}
    return {"type": kind}


def _tool(tool: Mapping[str, Any]) -> dict[str, Any]:
    spec = tool["toolSpec"]
    return {"name": spec.get("name"), "input_schema": (spec.get("inputSchema") or {}).get("json")}


def _choice(choice: Any) -> dict[str, Any] | None:
    if not isinstance(choice, Mapping):
        return None
    if "tool" in choice:
        return {"type": "tool", **choice["tool"]}
    return {"type": "any" if "any" in choice else "auto"}


def _format(config: Any) -> dict[str, Any] | None:
    try:
        return {"format": {"schema": json.loads(config["textFormat"]["structure"]["jsonSchema"]["schema"])}}
    except (KeyError, TypeError, ValueError):
        return None


# -- the stream -------------------------------------------------------------------------------------------------------


def _header(name: str, value: str) -> bytes:
    raw = value.encode()
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(raw)) + raw


def _framed(message: str, kind: str, payload: bytes) -> bytes:
    """One message of the AWS event stream: lengths, their checksum, headers, payload, the checksum of all."""
    headers = _header(f":{message}-type", kind) + _header(":content-type", "application/json")
    headers += _header(":message-type", message)
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _frame(kind: str, payload: Mapping[str, Any]) -> bytes:
    """Return an event with padding, so that its size does not show the length of its token."""
    padding = "abcdefghijklmnopqrstuvwxyz"[: 4 + len(dumps(payload)) % 17]
    return _framed("event", kind, dumps({**payload, "p": padding}).encode("utf-8", "surrogatepass"))


@attrs.define
class _BedrockFormat:
    turn: Turn
    context: Context
    call_ids: tuple[str, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.call_ids = tuple(f"tooluse_{token_of(self.context.rng, 22)}" for _ in self.turn.calls)

    def whole(self) -> dict[str, Any]:
        turn = self.turn
        blocks: list[dict[str, Any]] = []
        if turn.reasoning:
            reasoning = {"text": turn.whole_reasoning, "signature": self._signature()}
            blocks.append({"reasoningContent": {"reasoningText": reasoning}})
        if turn.text:
            blocks.append({"text": turn.whole_text})
        for identity, call in zip(self.call_ids, turn.calls, strict=True):
            blocks.append({"toolUse": {"toolUseId": identity, "name": call.name, "input": dict(call.arguments)}})
        message = {"role": "assistant", "content": blocks}
        return {"output": {"message": message}, "stopReason": _STOPS[turn.finish], **self._usage()}

    def closing(self) -> tuple[bytes, ...]:
        return (_frame("messageStop", {"stopReason": _STOPS[self.turn.finish]}), _frame("metadata", self._usage()))

    def tokens(self) -> Iterator[bytes]:
        """Yield one write for each piece. The first write of a block has its start, the last one its stop."""
        blocks: list[tuple[dict[str, Any] | None, list[dict[str, Any]]]] = []
        if self.turn.reasoning:
            thoughts = [{"reasoningContent": {"text": piece}} for piece in self.turn.reasoning]
            blocks.append((None, [*thoughts, {"reasoningContent": {"signature": self._signature()}}]))
        if self.turn.text:
            blocks.append((None, [{"text": piece} for piece in self.turn.text]))
        for identity, call in zip(self.call_ids, self.turn.calls, strict=True):
            pieces = [{"toolUse": {"input": piece}} for piece in pieces_of(call.text if call.arguments else "")]
            start = {"toolUse": {"toolUseId": identity, "name": call.name}}
            blocks.append((start, pieces or [{"toolUse": {"input": ""}}]))
        for index, (start_of, deltas) in enumerate(blocks):
            for number, delta in enumerate(deltas):
                event = _frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
                if number == 0 and start_of is not None:
                    event = _frame("contentBlockStart", {"contentBlockIndex": index, "start": start_of}) + event
                if number == len(deltas) - 1:
                    event += _frame("contentBlockStop", {"contentBlockIndex": index})
                yield event

    def _signature(self) -> str:
        return base64.b64encode(b"sandbox").decode()

    def _usage(self) -> dict[str, Any]:
        if not self.context.fault.usage:
            return {"metrics": {"latencyMs": 1}}
        given, made = self.turn.prompt_tokens, self.turn.completion_tokens
        usage = {"inputTokens": given, "outputTokens": made, "totalTokens": given + made}
        return {"usage": usage, "metrics": {"latencyMs": 1}}
