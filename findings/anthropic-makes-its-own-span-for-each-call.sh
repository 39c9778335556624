#!/usr/bin/env bash
# anthropic 2.15.0: the client makes an OpenTelemetry span with the tokens for each call, as soon as the program has a
# tracer provider. No one switches this on. A program that has an instrumentation of this SDK, as every guide told it,
# now has two spans for a call, and a dashboard that sums `gen_ai.usage.input_tokens` shows twice the tokens and cost.
#
# With opentelemetry-instrumentation-anthropic both spans are roots, so the call is in two traces, and no parent shows
# that they belong together. The request also carries a `traceparent` header. `open_telemetry=False` for the client,
# or ANTHROPIC_OPEN_TELEMETRY=false, ends both.
#
# Seen on 2026-12-01 with Python 3.11: one call, usage 10 input, 1000 read from the cache, 5 output
#   instrumentation                                  spans   traces   sum of gen_ai.usage.input_tokens
#   none                                             1       1        1010
#   opentelemetry-instrumentation-anthropic 0.62.4   2       2        2020
#   the same, open_telemetry=False                   1       1        1010
#   openinference-instrumentation-anthropic 3.1.0    2       1        1010, and llm.token_count.prompt 1010
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("anthropic==2.15.0" "opentelemetry-sdk==1.45.2" "opentelemetry-instrumentation-anthropic==0.62.4")
packages+=("openinference-instrumentation-anthropic==3.1.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import json
import threading

import anthropic
from openinference.instrumentation.anthropic import AnthropicInstrumentor as OpenInference
from opentelemetry import trace
from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor as OpenTelemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

USAGE = {"input_tokens": 10, "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0, "output_tokens": 5}
ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "usage": USAGE}
ANSWER |= {"content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "stop_sequence": None}
BODY = json.dumps(ANSWER).encode()
traceparents = []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        traceparents.append(self.headers["traceparent"])
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
exporter = InMemorySpanExporter()
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)


def play(name, **settings):
    exporter.clear()
    client = anthropic.Anthropic(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}", **settings)
    client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "Hi"}])
    spans = exporter.get_finished_spans()
    traces = {span.context.trace_id for span in spans}
    sums = {}
    for key in ("gen_ai.usage.input_tokens", "llm.token_count.prompt"):
        sums[key] = sum(span.attributes.get(key, 0) for span in spans)
    print(f"{name}: {len(spans)} span(s), {len(traces)} trace(s), {sums}, traceparent {bool(traceparents[-1])}")
    return len(spans), len(traces), *sums.values()


assert play("none") == (1, 1, 1010, 0)
assert traceparents[-1]
instrumentation = OpenTelemetry()
instrumentation.instrument()
assert play("opentelemetry") == (2, 2, 2020, 0)
assert play("opentelemetry, open_telemetry=False", open_telemetry=False) == (1, 1, 1010, 0)
instrumentation.uninstrument()
OpenInference().instrument()
assert play("openinference") == (2, 1, 1010, 1010)
PY
