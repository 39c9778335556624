"""Spans and metrics of OpenTelemetry, seen through providers that keep what the API was told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.context import Context

from turnout.errors import TurnoutError
from turnout_io.otel import OpenTelemetry
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

SECRET = "the prompt of a user"


class KeptSpan(trace.NonRecordingSpan):
    def __init__(self, name: str, parent: trace.Span, attributes: Any, start: int | None) -> None:
        super().__init__(trace.INVALID_SPAN_CONTEXT)
        self.name, self.parent, self.start, self.end_time = name, parent, start, 0
        self.attributes: dict[str, Any] = dict(attributes or {})
        self.status: trace.StatusCode | None = None

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, status: Any, description: str | None = None) -> None:
        self.status = status

    def end(self, end_time: int | None = None) -> None:
        self.end_time = end_time or 0


class Tracer(trace.NoOpTracer):
    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: trace.SpanKind = trace.SpanKind.INTERNAL,
        attributes: Any = None,
        links: Sequence[trace.Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        span = KeptSpan(name, trace.get_current_span(context), attributes, start_time)
        self.spans.append(span)
        return span


class Tracers(trace.TracerProvider):
    def __init__(self) -> None:
        self.tracer = Tracer()

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        return self.tracer


class Meters(metrics.NoOpMeterProvider):
    def __init__(self) -> None:
        self.points: list[tuple[str, float, dict[str, Any]]] = []

    def get_meter(self, *_: Any, **__: Any) -> metrics.Meter:
        points = self.points

        class Histogram(metrics.NoOpHistogram):
            def __init__(self, name: str) -> None:
                super().__init__(name)
                self.name = name

            def record(self, amount: float, attributes: Any = None, context: Context | None = None) -> None:
                points.append((self.name, amount, dict(attributes or {})))

        class Meter(metrics.NoOpMeter):
            def create_histogram(self, name: str, *_: Any, **__: Any) -> metrics.Histogram:
                return Histogram(name)

        return Meter("test")


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as server:
        yield server


def play(sandbox: Sandbox, **environ: str) -> tuple[list[KeptSpan], list[tuple[str, float, dict[str, Any]]]]:
    tracers, meters = Tracers(), Meters()
    telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=meters, environ=environ)
    with Router.from_env(environ=sandbox.environ(), dotenv=None, max_retries=0, on_trace=telemetry) as router:
        try:
            router.chat("openai/gpt-4o-mini", SECRET, fallbacks=["gemini/gemini-2.5-flash"])
            router.stream("openai/gpt-4o-mini", SECRET).collect()
        except TurnoutError:
            pass
    return tracers.tracer.spans, meters.points


def test_a_call_is_a_span_with_a_span_for_each_attempt(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503))
    spans, _ = play(sandbox)
    call, failed, answered, stream, _ = spans
    assert (call.name, stream.name) == ("chat gemini-2.5-flash", "chat gpt-4o-mini")
    assert failed.parent is call
    assert answered.parent is call
    assert call.attributes["gen_ai.provider.name"] == "gcp.gemini"
    assert call.attributes["gen_ai.response.finish_reasons"] == ["stop"]
    assert call.attributes["gen_ai.usage.input_tokens"] > 0
    assert call.status is None
    assert failed.status is trace.StatusCode.ERROR
    assert failed.attributes["http.response.status_code"] == 503
    assert stream.attributes["gen_ai.request.stream"] is True
    assert all(span.start is not None and span.start <= span.end_time for span in spans)
    assert SECRET not in repr([span.attributes for span in spans])


def test_a_failed_call_has_the_type_of_its_error(sandbox: Sandbox) -> None:
    sandbox.script("openai", Fault(status=503))
    sandbox.script("gemini", Fault(status=503))
    spans, points = play(sandbox)
    assert spans[0].status is trace.StatusCode.ERROR
    assert spans[0].attributes["error.type"] == "Overloaded"
    assert points[0][2]["error.type"] == "Overloaded"


def test_metrics_have_the_new_names_and_the_old_ones_on_request(sandbox: Sandbox) -> None:
    _, points = play(sandbox)
    assert {name for name, _, _ in points} == {
        "gen_ai.client.inference.duration",
        "gen_ai.client.inference.time_to_first_chunk",
        "gen_ai.client.inference.operation.input_tokens",
        "gen_ai.client.inference.operation.output_tokens",
    }
    _, points = play(sandbox, OTEL_SEMCONV_STABILITY_OPT_IN="http, gen_ai/dup")
    old = [(name, labels.get("gen_ai.token.type")) for name, _, labels in points if "client.inference" not in name]
    assert set(old) == {
        ("gen_ai.client.operation.duration", None),
        ("gen_ai.client.token.usage", "input"),
        ("gen_ai.client.token.usage", "output"),
    }
