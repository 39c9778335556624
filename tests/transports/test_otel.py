"""Spans and metrics of OpenTelemetry, seen through providers that keep what the API was told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.context import Context

from turnout import ChatRequest, Image, Message, Tool, ToolCall
from turnout.errors import TurnoutError
from turnout.trace import Trace
from turnout_io.caching import MemoryCache
from turnout_io.drivers.outcome import CallContent
from turnout_io.otel import OpenTelemetry
from turnout_io.sandbox import Fault, Sandbox
from turnout_io.sync import Router

SECRET = "the prompt of a user"
CONTENT = {"gen_ai.input.messages", "gen_ai.output.messages", "gen_ai.tool.definitions"}


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

        class Counter(metrics.NoOpCounter):
            def __init__(self, name: str) -> None:
                super().__init__(name)
                self.name = name

            def add(self, amount: float, attributes: Any = None, context: Context | None = None) -> None:
                points.append((self.name, amount, dict(attributes or {})))

        class Meter(metrics.NoOpMeter):
            def create_counter(self, name: str, *_: Any, **__: Any) -> metrics.Counter:
                return Counter(name)

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
        "gen_ai.client.inference.usage.input_tokens",
        "gen_ai.client.inference.usage.output_tokens",
    }
    _, points = play(sandbox, OTEL_SEMCONV_STABILITY_OPT_IN="http, gen_ai/dup")
    old = [(name, labels.get("gen_ai.token.type")) for name, _, labels in points if "client.inference" not in name]
    assert set(old) == {
        ("gen_ai.client.operation.duration", None),
        ("gen_ai.client.operation.time_to_first_chunk", None),
        ("gen_ai.client.token.usage", "input"),
        ("gen_ai.client.token.usage", "output"),
    }


def spans_of(sandbox: Sandbox, use: Callable[[Router], object], **options: Any) -> list[KeptSpan]:
    tracers = Tracers()
    telemetry = OpenTelemetry(tracer_provider=tracers, meter_provider=Meters(), environ={}, **options)
    with Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=telemetry, cache=MemoryCache()) as router:
        use(router)
    return tracers.tracer.spans


def test_a_span_has_the_settings_the_server_and_the_response(sandbox: Sandbox) -> None:
    request = ChatRequest(
        "openai/gpt-4o-mini",
        f"{SECRET}, as JSON",
        temperature=0.5,
        top_p=0.9,
        max_tokens=50,
        stop=["END"],
        seed=3,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        response_format={"type": "json_object"},
    )
    call = spans_of(sandbox, lambda router: router.stream(request).collect())[0].attributes
    settings = {name.removeprefix("gen_ai.request."): value for name, value in call.items() if ".request." in name}
    assert settings == {
        "model": "gpt-4o-mini",
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 50,
        "stop_sequences": ["END"],
        "seed": 3,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
    }
    assert call["gen_ai.output.type"] == "json"
    address, _, port = sandbox.url("openai").removeprefix("http://").partition("/")[0].partition(":")
    assert (call["server.address"], call["server.port"]) == (address, int(port))
    assert call["gen_ai.response.id"]
    assert call["gen_ai.response.model"] == "gpt-4o-mini"
    assert call["gen_ai.response.time_to_first_chunk"] > 0


def test_an_embedding_has_its_dimensions(sandbox: Sandbox) -> None:
    call = spans_of(sandbox, lambda router: router.embed("openai/text-embedding-3-small", [SECRET], dimensions=64))[0]
    assert call.attributes["gen_ai.embeddings.dimension.count"] == 64
    assert call.attributes["gen_ai.operation.name"] == "embeddings"
    assert SECRET not in repr(call.attributes)


def test_an_answer_of_the_cache_is_marked_and_counts_no_tokens(sandbox: Sandbox) -> None:
    def twice(router: Router) -> None:
        for _ in range(2):
            router.chat("openai/gpt-4o-mini", SECRET)

    first, _, second = spans_of(sandbox, twice)
    assert "turnout.from_cache" not in first.attributes
    assert second.attributes["turnout.from_cache"] is True
    assert "gen_ai.usage.input_tokens" in first.attributes
    assert "gen_ai.usage.input_tokens" not in second.attributes


def test_content_is_in_a_span_only_on_request(sandbox: Sandbox) -> None:
    call = ToolCall("call_1", "look", '{"where": "yard"}')
    request = ChatRequest(
        "openai/gpt-4o-mini",
        [
            Message.system("Be short."),
            Message.user(SECRET, Image(data=b"png", media_type="image/png"), Image("https://example.com/a.png")),
            Message.assistant(tool_calls=[call]),
            Message.tool(call, "dark"),
        ],
        tools=[Tool("look", "Look.", {"type": "object", "properties": {}})],
    )
    answers: list[str] = []
    spans = spans_of(sandbox, lambda router: answers.append(router.chat(request).text), content=True)
    content = {name: json.loads(spans[0].attributes[name]) for name in CONTENT}
    assert content["gen_ai.input.messages"] == [
        {"role": "system", "parts": [{"type": "text", "content": "Be short."}]},
        {
            "role": "user",
            "parts": [
                {"type": "text", "content": SECRET},
                {"type": "image", "modality": "image", "mime_type": "image/png", "size": 3},
                {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
            ],
        },
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "look", "arguments": {"where": "yard"}}],
        },
        {
            "role": "tool",
            "parts": [{"type": "tool_call_response", "id": "call_1", "response": "dark"}],
            "name": "look",
        },
    ]
    text = [part["content"] for part in content["gen_ai.output.messages"][0]["parts"] if part["type"] == "text"]
    assert "".join(text) == answers[0]
    assert content["gen_ai.tool.definitions"][0]["name"] == "look"
    assert SECRET not in repr(spans[1].attributes), "only the span of the call has it"
    assert not any(CONTENT & span.attributes.keys() for span in spans_of(sandbox, lambda router: router.chat(request)))


def test_a_function_of_the_user_gets_content_on_request(sandbox: Sandbox) -> None:
    seen: list[CallContent] = []

    class Keep:
        wants_content = True

        def __call__(self, record: Trace, content: CallContent | None = None) -> None:
            assert content is not None
            seen.append(content)

    with Router.from_env(environ=sandbox.environ(), dotenv=None, on_trace=Keep()) as router:
        reply = router.chat("openai/gpt-4o-mini", SECRET)
    assert seen[0].request.messages[0].text == SECRET
    assert seen[0].result.text == reply.text
    assert SECRET not in repr(seen)
