"""Spans and metrics of OpenTelemetry, made from the trace of each call.

Names follow the GenAI semantic conventions 0.1.0. A span for the call holds a span for each attempt.
`OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai/dup` adds the metrics and attributes that had other names before.

Only `opentelemetry-api` is needed: the program brings its own SDK.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

try:
    from opentelemetry import metrics, trace
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "turnout_io.otel needs opentelemetry-api: pip install 'turnout[otel]'", name=error.name
    ) from None

from turnout.trace import Trace
from turnout.trace.entries import (
    AttemptCancelled,
    AttemptCompleted,
    CallFailed,
    Failed,
    FirstContent,
    ResponseStarted,
    Started,
)
from turnout_io.drivers.outcome import CallContent
from turnout_io.otel.content import content_attributes

__all__ = ["OpenTelemetry"]

_NAME = "turnout"
_OPERATIONS = {"chat": "chat", "stream": "chat", "embed": "embeddings"}
# The provider names of the conventions that differ from ours.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
_TOKENS = {
    "prompt_tokens": "input_tokens",
    "completion_tokens": "output_tokens",
    "cached_tokens": "cache_read.input_tokens",
    "cache_write_tokens": "cache_write.input_tokens",
    "reasoning_tokens": "reasoning.output_tokens",
    "audio_prompt_tokens": "audio.input_tokens",
    "audio_completion_tokens": "audio.output_tokens",
}
_COUNTED = tuple(_TOKENS)[:5]  # those that have a metric
_SETTINGS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "stop": "stop_sequences",
    "seed": "seed",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "reasoning_effort": "reasoning.level",
}
_NANOSECONDS = 1_000_000_000


class OpenTelemetry:
    """Records every call as spans and metrics. Give it to `on_trace`.

    Args:
        content: Whether spans have the messages, the tools and the answer of a chat. They are private data.
        tracer_provider: Where spans go; by default the global provider of OpenTelemetry.
        meter_provider: Where metrics go; by default the global provider of OpenTelemetry.
        environ: Variables to use instead of the process's environment.

    Attributes:
        wants_content: True if the router passes the content of each call.
    """

    def __init__(
        self,
        *,
        content: bool = False,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.wants_content = content
        self._tracer = trace.get_tracer(_NAME, tracer_provider=tracer_provider)
        meter = metrics.get_meter(_NAME, meter_provider=meter_provider)
        opted = (os.environ if environ is None else environ).get("OTEL_SEMCONV_STABILITY_OPT_IN", "")
        self._with_old = "gen_ai/dup" in [word.strip() for word in opted.split(",")]
        self._durations = {
            "chat": meter.create_histogram("gen_ai.client.inference.duration", "s", "Time of a call."),
            "embeddings": meter.create_histogram("gen_ai.client.embeddings.duration", "s", "Time of a call."),
        }
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.inference.time_to_first_chunk", "s", "Time to the first content of a stream."
        )
        self._tokens = {
            name: meter.create_histogram(f"gen_ai.client.inference.operation.{name}", "{token}", "Tokens of a call.")
            for name in ("input_tokens", "output_tokens")
        }
        self._embedded_tokens = meter.create_histogram(
            "gen_ai.client.embeddings.operation.input_tokens", "{token}", "Tokens of a call."
        )
        self._spent = {
            ours: meter.create_counter(f"gen_ai.client.inference.usage.{_TOKENS[ours]}", "{token}", "Tokens spent.")
            for ours in _COUNTED
        }
        self._old_duration = self._old_tokens = self._old_first_chunk = None
        if self._with_old:
            self._old_duration = meter.create_histogram("gen_ai.client.operation.duration", "s", "Time of a call.")
            self._old_tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}", "Tokens of a call.")
            self._old_first_chunk = meter.create_histogram(
                "gen_ai.client.operation.time_to_first_chunk", "s", "Time to the first content of a stream."
            )

    def __call__(self, record: Trace, content: CallContent | None = None) -> None:
        """Record a call that has ended. The span's parent is the span of the caller."""
        if record.started_at is None or not record.entries:
            return
        operation = _OPERATIONS.get(record.operation, record.operation)
        common = {"gen_ai.operation.name": operation, **_model(record.candidate), **_server(record.outcome)}
        ended = record.entries[-1]
        seconds = float(ended.at)
        failure = _failure(record) if isinstance(ended, CallFailed) else None
        found = {**common, **_outcome(record.outcome)}
        first = _first_content(record)
        if record.operation == "stream":
            found["gen_ai.request.stream"] = True
            if first is not None:
                found["gen_ai.response.time_to_first_chunk"] = first
        if record.from_cache:
            found["turnout.from_cache"] = True
        if self._with_old and "cache_write_tokens" in record.outcome:
            found["gen_ai.usage.cache_creation.input_tokens"] = record.outcome["cache_write_tokens"]
        if self.wants_content and content is not None:
            found |= content_attributes(content.request, content.result)
        span = self._tracer.start_span(
            f"{operation} {common['gen_ai.request.model']}",
            kind=trace.SpanKind.CLIENT,
            attributes=found,
            start_time=_nanoseconds(record, 0.0),
        )
        if failure is not None:
            span.set_attribute("error.type", failure)
            span.set_status(trace.StatusCode.ERROR, ended.reason if isinstance(ended, CallFailed) else failure)
        self._record_attempts(record, operation, trace.set_span_in_context(span))
        span.end(_nanoseconds(record, seconds))
        labels = {**common, **({"error.type": failure} if failure else {})}
        if "served_model" in record.outcome:
            labels["gen_ai.response.model"] = record.outcome["served_model"]
        self._record_metrics(record, operation, seconds, labels)

    def _record_attempts(self, record: Trace, operation: str, parent: Any) -> None:
        spans: dict[int, trace.Span] = {}
        for entry in record.entries:
            match entry:
                case Started():
                    attributes = {
                        "gen_ai.operation.name": operation,
                        **_model(entry.candidate),
                        "turnout.attempt": entry.attempt,
                        "turnout.hedge": entry.hedge,
                    }
                    spans[entry.attempt] = self._tracer.start_span(
                        f"attempt {entry.candidate}",
                        parent,
                        kind=trace.SpanKind.CLIENT,
                        attributes=attributes,
                        start_time=_nanoseconds(record, entry.at),
                    )
                case ResponseStarted() if entry.attempt in spans:
                    spans[entry.attempt].set_attribute("http.response.status_code", entry.status)
                case FirstContent() if entry.attempt in spans:
                    spans[entry.attempt].add_event("gen_ai.first_chunk", timestamp=_nanoseconds(record, entry.at))
                case Failed() if entry.attempt in spans:
                    span = spans.pop(entry.attempt)
                    span.set_attribute("error.type", entry.error or entry.failure.value)
                    span.set_status(trace.StatusCode.ERROR, entry.failure.value)
                    span.end(_nanoseconds(record, entry.at))
                case AttemptCompleted() | AttemptCancelled() if entry.attempt in spans:
                    spans.pop(entry.attempt).end(_nanoseconds(record, entry.at))
                case _:
                    pass
        for span in spans.values():
            span.end(_nanoseconds(record, record.entries[-1].at))

    def _record_metrics(self, record: Trace, operation: str, seconds: float, labels: dict[str, Any]) -> None:
        duration = self._durations.get(operation)
        if duration is None:
            return
        duration.record(seconds, labels)
        if self._old_duration is not None:
            self._old_duration.record(seconds, labels)
        first = _first_content(record)
        if record.operation == "stream" and first is not None:
            self._first_chunk.record(first, labels)
            if self._old_first_chunk is not None:
                self._old_first_chunk.record(first, labels)
        if operation == "chat":
            for ours, counter in self._spent.items():
                if record.outcome.get(ours):
                    counter.add(record.outcome[ours], labels)
        for ours, kind in (("prompt_tokens", "input"), ("completion_tokens", "output")):
            count = record.outcome.get(ours)
            if count is None:
                continue
            if operation == "chat":
                self._tokens[f"{kind}_tokens"].record(count, labels)
            elif kind == "input":
                self._embedded_tokens.record(count, labels)
            if self._old_tokens is not None:
                self._old_tokens.record(count, {**labels, "gen_ai.token.type": kind})


def _model(candidate: str) -> dict[str, Any]:
    provider, _, model = candidate.partition("/")
    return {"gen_ai.provider.name": _PROVIDERS.get(provider, provider), "gen_ai.request.model": model}


def _server(outcome: Mapping[str, Any]) -> dict[str, Any]:
    names = ("address", "port")
    return {f"server.{name}": outcome[f"server_{name}"] for name in names if f"server_{name}" in outcome}


def _first_content(record: Trace) -> float | None:
    return next((entry.at for entry in record.entries if isinstance(entry, FirstContent)), None)


def _failure(record: Trace) -> str:
    errors = [entry.error or entry.failure.value for entry in record.entries if isinstance(entry, Failed)]
    return errors[-1] if errors else "_OTHER"


def _outcome(outcome: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {
        f"gen_ai.usage.{theirs}": outcome[ours] for ours, theirs in _TOKENS.items() if outcome.get(ours) is not None
    }
    if "finish_reason" in outcome:
        found["gen_ai.response.finish_reasons"] = [outcome["finish_reason"]]
    for ours, value in outcome.get("settings", {}).items():
        found[f"gen_ai.request.{_SETTINGS[ours]}"] = list(value) if isinstance(value, tuple) else value
    if "output_type" in outcome:
        found["gen_ai.output.type"] = outcome["output_type"]
    if "dimensions" in outcome:
        found["gen_ai.embeddings.dimension.count"] = outcome["dimensions"]
    for ours, theirs in (("response_id", "id"), ("served_model", "model")):
        if ours in outcome:
            found[f"gen_ai.response.{theirs}"] = outcome[ours]
    return found


def _nanoseconds(record: Trace, at: float) -> int:
    assert record.started_at is not None
    return int((record.started_at + at) * _NANOSECONDS)
