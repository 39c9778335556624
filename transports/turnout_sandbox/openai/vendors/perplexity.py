"""Perplexity. Sources: docs.perplexity.ai (chat completions, error handling)."""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from turnout_sandbox.answers import ParsedRequest
from turnout_sandbox.errors import ErrorKind, invalid
from turnout_sandbox.openai.chat import OpenAIChatServer
from turnout_sandbox.openai.error_table import ErrorRow, ErrorTable
from turnout_sandbox.openai.record_format import FormatRecord, RecordFormat, format_of
from turnout_sandbox.openai.requests import Rules

__all__ = ["PERPLEXITY"]


@attrs.define
class _PerplexityFormat(RecordFormat):
    """Each chunk has the message so far beside the delta; the models that reason write it between tags."""

    def tokens(self) -> Iterator[bytes]:
        turn, so_far = self.turn, ""
        thought = ("<think>\n", *turn.reasoning, "\n</think>\n\n") if turn.reasoning else ()
        for piece in (*thought, *turn.text):
            so_far += piece
            yield self.event(self.chunk([self._both({"role": "assistant", "content": piece}, so_far)]))
        for index, (identity, call) in enumerate(self.calls):
            for delta in self.call_deltas(index, identity, call):
                yield self.event(self.chunk([self._both(delta, so_far)]))

    def _both(self, delta: Mapping[str, Any], so_far: str, finish: str | None = None) -> dict[str, Any]:
        return {**self.choice(delta, finish), "message": {"role": "assistant", "content": so_far}}

    def closing(self) -> list[bytes]:
        last = self.chunk([self._both({"role": "assistant", "content": ""}, self._text(), self.turn.finish)])
        return [self.event({**last, "object": "chat.completion.done"})]

    def message(self) -> dict[str, Any]:
        message = RecordFormat.message(self)
        message.pop("reasoning_content", None)
        return {**message, "content": self._text()}

    def _text(self) -> str:
        turn = self.turn
        thought = f"<think>\n{turn.whole_reasoning}\n</think>\n\n" if turn.reasoning else ""
        return thought + turn.whole_text


_SOURCES = {
    "citations": ["https://example.org/railways"],
    "search_results": [
        {
            "title": "Railways",
            "url": "https://example.org/railways",
            "date": "2026-01-15",
            "last_updated": "2026-02-01",
            "snippet": "",
            "source": "web",
        }
    ],
}


def _check(body: Mapping[str, Any], request: ParsedRequest) -> None:
    if body.get("tools"):
        raise invalid("Tool calling is not supported for this model", code="tool_calling_unsupported")
    spoken = [message["role"] for message in body["messages"] if message["role"] != "system"]
    if spoken and spoken[-1] not in ("user", "tool"):
        raise invalid("Last message must have role `user`.", code="invalid_message")
    if any(one == other == "user" for one, other in itertools.pairwise(spoken)):
        text = "After the (optional) system message(s), user or tool message(s) should alternate with assistant ones."
        raise invalid(text, code="invalid_message")


def _row(status: int, type: str, text: str = "") -> ErrorRow:
    return ErrorRow(status, type, status, text)


PERPLEXITY = OpenAIChatServer(
    name="perplexity",
    base="",
    models=(),
    shape=format_of(
        FormatRecord(
            identity="{uuid}",
            chunk=_SOURCES,
            whole=_SOURCES,
            first_delta=None,
            usage_in="each",
            usage={
                "search_context_size": "low",
                "cost": {
                    "input_tokens_cost": 0.0,
                    "output_tokens_cost": 0.0,
                    "request_cost": 0.005,
                    "total_cost": 0.005,
                },
            },
        ),
        _PerplexityFormat,
    ),
    errors=ErrorTable(
        body={"error": {"message": "{message}", "type": "{type}", "code": "{code}"}},
        rows={
            ErrorKind.INVALID: _row(400, "bad_request"),
            ErrorKind.AUTH: ErrorRow(
                401,
                body="<html>\r\n<head><title>401 Authorization Required</title></head>\r\n<body>\r\n<center><h1>401 "
                "Authorization Required</h1></center>\r\n<hr><center>openresty/1.25.3.1</center>\r\n</body>\r\n</html>",
                headers=(("content-type", "text/html"),),
            ),
            ErrorKind.PERMISSION: _row(403, "forbidden"),
            ErrorKind.NO_SUCH_MODEL: _row(
                400, "invalid_model", "Invalid model '{model}'. Permitted models can be found in the documentation."
            ),
            ErrorKind.NO_SUCH_PATH: ErrorRow(404, body={"detail": "Not Found"}),
            ErrorKind.CONTEXT_LENGTH: _row(
                400, "bad_request", "Requested 200000 tokens, which exceeds the maximum context length of 128000 tokens"
            ),
            ErrorKind.CONTENT_FILTER: _row(400, "content_policy_violation"),
            ErrorKind.RATE_LIMIT: _row(
                429, "request_rate_limit_exceeded", "Request rate limit exceeded, please try again later."
            ),
            ErrorKind.QUOTA: _row(401, "insufficient_quota"),
            ErrorKind.OVERLOADED: _row(503, "service_unavailable", "The service is temporarily unavailable."),
            ErrorKind.SERVER: _row(500, "internal_server_error"),
            ErrorKind.TIMEOUT: _row(504, "timeout"),
        },
    ),
    rules=Rules(formats=frozenset({"text", "json_schema", "regex"}), context_window=128_000),
    reasons=lambda body: "reasoning" in str(body.get("model")) or "deep-research" in str(body.get("model")),
    check=_check,
)
