#!/usr/bin/env bash
# huggingface_hub 2.4.0: an InferenceClient keeps each streamed request until the client itself is closed, also if the
# stream was read to its end. Its memory grows by about twice the prompt with each stream. The answer is entered
# in an exit stack that belongs to the client, and only InferenceClient.close() empties it. The examples of the
# documentation make one client and never close it.
#
# Each stream also opens a new connection, because the client stops at "[DONE]" and does not read the end of the body.
# A stream that the caller drops keeps its connection open: there is no object with a close() to call, and garbage
# collection does not help. AsyncInferenceClient grows in the same way.
#
# Seen on 2026-12-01 with Python 3.11: 20 calls with a prompt of 100 kB, one client
#   create()                          1 connection,    0 open contexts,  memory +0.0 MB
#   create(stream=True), read whole   20 connections, 20 open contexts,  memory +4.2 MB
#   create(stream=True), dropped      20 connections, 20 open contexts,  20 connections still in use
#   close()                           0 open contexts, 0 connections in use
#   AsyncInferenceClient, read whole  20 open contexts, memory +4.4 MB
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "huggingface_hub==2.4.0" "httpx2==2.16.2" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import asyncio
import contextlib
import gc
import http.server
import json
import threading
import tracemalloc

from huggingface_hub import AsyncInferenceClient, InferenceClient, get_session

CALLS = 20
ports = set()


def question():
    return {"model": "m", "messages": [{"role": "user", "content": "x" * 100_000}]}


def chunk(content, finish_reason=None):
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "system_fingerprint": "f"}
    return {**head, "choices": [choice]}


EVENTS = [json.dumps(chunk("Red")), json.dumps(chunk(" rose", "stop")), "[DONE]"]
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Red rose"}, "finish_reason": "stop"}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
WHOLE = {**chunk(""), "object": "chat.completion", "choices": [CHOICE], "usage": USAGE}


class Provider(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        ports.add(self.client_address[1])
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        if not request.get("stream"):
            body = json.dumps(WHOLE).encode()
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        with contextlib.suppress(OSError):  # the client may have gone
            for event in EVENTS:
                data = f"data: {event}\n\n".encode()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments):
        pass


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *arguments):
        pass  # the client closes connections before they end


server = Server(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {"base_url": f"http://127.0.0.1:{server.server_port}", "api_key": "k"}


def contexts(client):
    return len(client.exit_stack._exit_callbacks)


def in_use():
    connections = get_session()._transport._pool.connections
    return sum(not connection.is_idle() for connection in connections)


def play(name, client, call):
    call()  # imports and caches
    gc.collect()
    ports.clear()
    before, entered = tracemalloc.get_traced_memory()[0], contexts(client)
    for _ in range(CALLS):
        call()
    gc.collect()
    grown = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    entered = contexts(client) - entered
    print(f"{name}: {len(ports)} connection(s), {entered} open contexts, {in_use()} in use, {grown:+.1f} MB")
    return len(ports), entered, grown


def whole():
    assert client.chat.completions.create(**question()).choices[0].message.content == "Red rose"


def streamed():
    chunks = client.chat.completions.create(stream=True, **question())
    assert "".join(value.choices[0].delta.content for value in chunks) == "Red rose"


def dropped():
    client.chat.completions.create(stream=True, **question())


tracemalloc.start()
client = InferenceClient(**settings)
connections, entered, grown = play("create()", client, whole)
assert (connections, entered) == (1, 0)
assert grown < 1, grown
connections, entered, grown = play("read whole", client, streamed)
assert (connections, entered, in_use()) == (CALLS, CALLS, 0)
assert grown > CALLS * 0.1, grown
connections, entered, grown = play("dropped", client, dropped)
assert (connections, entered, in_use()) == (CALLS, CALLS, CALLS + 1)
client.close()
print(f"close(): {contexts(client)} open contexts, {in_use()} in use")
assert (contexts(client), in_use()) == (0, 0)


async def on_asyncio():
    client = AsyncInferenceClient(**settings)

    async def streamed():
        text = ""
        async for value in await client.chat.completions.create(stream=True, **question()):
            text += value.choices[0].delta.content
        assert text == "Red rose"

    await streamed()
    gc.collect()
    before, entered = tracemalloc.get_traced_memory()[0], contexts(client)
    for _ in range(CALLS):
        await streamed()
    gc.collect()
    grown = (tracemalloc.get_traced_memory()[0] - before) / 1e6
    print(f"asyncio, read whole: {contexts(client) - entered} open contexts, {grown:+.1f} MB")
    assert contexts(client) - entered == CALLS
    assert grown > CALLS * 0.1, grown
    await client.close()


asyncio.run(on_asyncio())
PY
