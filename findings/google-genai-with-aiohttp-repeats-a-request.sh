#!/usr/bin/env bash
# google-genai 3.6.1 with aiohttp 3.14.5: the asyncio client sends a request a second time if the server closes the
# connection before it answers. No retry was asked for: without HttpOptions.retry_options the SDK has the strategy
# "never retry", says its retry_args(). The server has received the whole first request, so both may be charged.
#
# The second request follows a pause of 1 to 10 seconds and is logged at level INFO only. The blocking client raises
# the error. With retry_options, also with attempts=1, the asyncio client raises it too.
#
# Seen on 2026-12-01 with Python 3.11, a server that answers only the second request:
#   blocking                             RemoteProtocolError, 1 request
#   asyncio                              'ok', 2 requests
#   asyncio, retry_options attempts=1    ServerDisconnectedError, 1 request
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "google-genai==3.6.1" "aiohttp==3.14.5" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import asyncio
import http.server
import json
import threading

from google import genai

requests = []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        if len(requests) == 1:
            return  # received whole, and the connection ends without an answer
        content = {"role": "model", "parts": [{"text": "ok"}]}
        body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {"base_url": f"http://127.0.0.1:{server.server_port}"}
question = {"model": "m", "contents": "Write a poem."}


def blocking(options):
    with genai.Client(api_key="k", http_options=options) as client:
        return client.models.generate_content(**question).text


async def on_asyncio(options):
    async with genai.Client(api_key="k", http_options=options).aio as client:
        return (await client.models.generate_content(**question)).text


def play(name, ask):
    requests.clear()
    try:
        result = ask()
    except Exception as error:
        result = type(error).__name__
    print(f"{name}: {result}, {len(requests)} request(s)")
    return result, len(requests)


assert play("blocking", lambda: blocking(options)) == ("RemoteProtocolError", 1)
assert play("asyncio", lambda: asyncio.run(on_asyncio(options))) == ("ok", 2)
once = {**options, "retry_options": {"attempts": 1}}
assert play("asyncio, attempts=1", lambda: asyncio.run(on_asyncio(once))) == ("ServerDisconnectedError", 1)
assert all(request == requests[0] for request in requests)
PY
