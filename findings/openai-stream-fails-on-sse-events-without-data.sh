#!/usr/bin/env bash
# openai 3.57.0: a stream that the SSE standard allows ends in json.JSONDecodeError, in the middle of a good answer. The
# decoder hands out events that have no data, and the client parses their empty text as JSON. The standard says that
# such a block is no event: "If the data buffer is an empty string, set the data buffer and the event type buffer to
# the empty string and return" (html.spec.whatwg.org/multipage/server-sent-events.html, dispatch the event).
#
# It takes a server that gives its events an `id:`, as libraries for SSE do, and keeps a slow stream alive with comments.
# After the first id every comment breaks the stream, because the decoder keeps the last id and takes it for content.
# A stream without ids may have comments. A server that begins with `retry:` fails before the first token.
# The error is no openai.OpenAIError, so neither the retries of the SDK nor a handler for its errors sees it. A gateway
# met this after 15 seconds of each slow answer (github.com/theopenco/llmgateway/pull/2334). The reports to openai,
# github.com/openai/openai-python/issues/2722 and 3833, are closed.
#
# Seen on 2026-12-01 with Python 3.11
#                      comments    ids    ids and a comment     retry first
#   openai 3.57.0      Red rose    same   Red, JSONDecodeError  JSONDecodeError
#   groq 1.7.0         Red rose    same   Red, JSONDecodeError  JSONDecodeError
#   together 3.1.1     Red rose    same   Red, JSONDecodeError  JSONDecodeError
#   zai-sdk 0.2.3      Red rose    same   Red rose              JSONDecodeError
#   mistralai 3.7.0    Red rose    same   Red rose              Red rose
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("openai==3.57.0" "groq==1.7.0" "together==3.1.1" "zai-sdk==0.2.3" "mistralai==3.7.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import json
import threading

import groq
import openai
import together
import zai
from mistralai.client import Mistral


def chunk(content, finish_reason=None):
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return f"data: {json.dumps({**head, 'choices': [choice]})}\n"


RED, ROSE, DONE, COMMENT = chunk("Red"), chunk(" rose", "stop"), "data: [DONE]\n", ": still here\n"
STREAMS = {
    "comments": [COMMENT, RED, COMMENT, ROSE, DONE],
    "ids": ["id: 1\n" + RED, "id: 2\n" + ROSE, DONE],
    "ids and a comment": ["id: 1\n" + RED, COMMENT, "id: 2\n" + ROSE, DONE],
    "retry first": ["retry: 3000\n", RED, ROSE, DONE],
}
body = []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        self.wfile.write("".join(block + "\n" for block in body).encode())

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}"
settings = {"api_key": "k", "base_url": url, "max_retries": 0}
question = {"model": "m", "messages": [{"role": "user", "content": "Name a flower."}]}
clients = {
    "openai": openai.OpenAI(**settings).chat.completions.create,
    "groq": groq.Groq(**settings).chat.completions.create,
    "together": together.Together(**settings).chat.completions.create,
    "zai": zai.ZaiClient(**settings).chat.completions.create,
}
mistral = Mistral(api_key="k", server_url=url)


def chunks(name):
    if name == "mistral":
        for event in mistral.chat.stream(**question):
            yield event.data
    else:
        yield from clients[name](stream=True, **question)


def play(name):
    seen = []
    for body[:] in STREAMS.values():
        text, error = "", ""
        try:
            for value in chunks(name):
                text += value.choices[0].delta.content
        except json.JSONDecodeError as raised:
            error = type(raised).__name__
            assert not isinstance(raised, openai.OpenAIError)
        seen.append((text, error))
    print(f"{name}: {dict(zip(STREAMS, seen, strict=True))}")
    return seen


GOOD, MIDDLE, BEGIN = ("Red rose", ""), ("Red", "JSONDecodeError"), ("", "JSONDecodeError")
for name in ("openai", "groq", "together"):
    assert play(name) == [GOOD, GOOD, MIDDLE, BEGIN], name
assert play("zai") == [GOOD, GOOD, GOOD, BEGIN]
assert play("mistral") == [GOOD] * 4
PY
