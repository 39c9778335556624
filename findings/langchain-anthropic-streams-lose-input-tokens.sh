#!/usr/bin/env bash
# langchain-anthropic 1.7.10: a stream reports no input tokens if they are in message_start only. It reads the usage of
# message_delta and nothing else, where `input_tokens` and the tokens of the cache are optional in the Messages protocol
# (MessageDeltaUsage of the anthropic SDK). Budgets and cost reports that sum `usage_metadata` then count the answers
# alone. api.anthropic.com itself sent this form in July 2025, and servers that copied the protocol may still. The
# anthropic SDK, which langchain-anthropic calls, keeps the numbers of message_start: the comment in its code says
# that message_delta leaves the optional ones out when they do not apply.
#
# Seen on 2026-12-01 with Python 3.11: message_start with input_tokens 25, cache_read_input_tokens 1000;
# message_delta with output_tokens 15
#   ChatAnthropic.stream()                        input 0, output 15, total 15
#   ChatAnthropic(streaming=True).invoke()        input 0, output 15, total 15
#   anthropic 2.14.0, messages.stream()           input 25, cache read 1000, output 15
#
# Known as github.com/langchain-ai/langchain/issues/35509.
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("langchain-anthropic==1.7.10" "anthropic==2.14.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import json
import threading

import anthropic
from langchain_anthropic import ChatAnthropic

STARTED = {"input_tokens": 25, "cache_read_input_tokens": 1000, "output_tokens": 1}
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m", "usage": STARTED}
EVENTS = [
    {"type": "message_start", "message": {**MESSAGE, "stop_reason": None, "stop_sequence": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello!"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"output_tokens": 15},
    },
    {"type": "message_stop"},
]
BODY = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in EVENTS).encode()


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "max_retries": 0}


def counted(name, message):
    usage = message.usage_metadata
    print(f"{name}: input {usage['input_tokens']}, output {usage['output_tokens']}, total {usage['total_tokens']}")
    assert message.content == "Hello!"
    return usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]


whole = None
for chunk in ChatAnthropic(model="m", **settings).stream("Hi"):
    whole = chunk if whole is None else whole + chunk
assert counted("stream()", whole) == (0, 15, 15)
assert counted("invoke()", ChatAnthropic(model="m", streaming=True, **settings).invoke("Hi")) == (0, 15, 15)
question = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
with anthropic.Anthropic(**settings).messages.stream(**question) as stream:
    usage = stream.get_final_message().usage
counts = {name: getattr(usage, name) for name in ("input_tokens", "cache_read_input_tokens", "output_tokens")}
print(f"anthropic: {counts}")
assert counts == {"input_tokens": 25, "cache_read_input_tokens": 1000, "output_tokens": 15}
PY
