#!/usr/bin/env bash
# google-genai 3.6.1: HttpOptions.timeout bounds each wait for bytes of a stream. As soon as aiohttp can be imported, it
# bounds the whole stream for the asyncio client: a healthy answer that takes longer is cut in the middle.
#
# No code changes: the client takes aiohttp if any package has installed it. The SDK's text on `timeout` says only
# "Timeout for the request in milliseconds", and the README offers google-genai[aiohttp] as the faster choice.
# The error is a plain TimeoutError with an empty text, neither an error of google.genai nor one of aiohttp.
#
# Seen on 2026-12-01 with Python 3.11: eight chunks, one each half second, timeout 2000 ms
#   without aiohttp, blocking         '0 1 2 3 4 5 6 7'
#   without aiohttp, asyncio          '0 1 2 3 4 5 6 7'
#   with aiohttp 3.14.5, blocking     '0 1 2 3 4 5 6 7'
#   with aiohttp 3.14.5, asyncio      '0 1 2 3', then TimeoutError('')
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/stream.py" <<'PY'
import asyncio
import http.server
import json
import sys
import threading
import time

from google import genai

CHUNKS = 8
EXPECTED = sys.argv[1]  # what the asyncio client does


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for number in range(CHUNKS):
            candidate = {"content": {"role": "model", "parts": [{"text": f"{number} "}]}, "index": 0}
            if number == CHUNKS - 1:
                candidate["finishReason"] = "STOP"
            try:
                self.wfile.write(b"data: %s\r\n\r\n" % json.dumps({"candidates": [candidate]}).encode())
            except OSError:
                return  # the client has gone
            time.sleep(0.5)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
options = {"base_url": f"http://127.0.0.1:{server.server_port}", "timeout": 2000}
client = genai.Client(api_key="k", http_options=options)
received = []
for chunk in client.models.generate_content_stream(model="m", contents="Count."):
    received.append(chunk.text)
print("blocking:", "".join(received))
assert len(received) == CHUNKS, received


async def on_asyncio():
    received.clear()
    try:
        async for chunk in await client.aio.models.generate_content_stream(model="m", contents="Count."):
            received.append(chunk.text)
    except TimeoutError as error:
        return error
    finally:
        await client.aio.aclose()
    return None


error = asyncio.run(on_asyncio())
print("asyncio: ", "".join(received), repr(error) if error else "")
if EXPECTED == "whole":
    assert (len(received), error) == (CHUNKS, None), received
else:
    assert 0 < len(received) < CHUNKS, received
    assert type(error) is TimeoutError
    assert str(error) == ""
PY
python3 -m venv "$scratch/v"
install() { "$scratch/v/bin/pip" install -q --disable-pip-version-check "$@" 2>/dev/null; }
install "google-genai==3.6.1"
echo "without aiohttp"
"$scratch/v/bin/python" "$scratch/stream.py" whole
install "aiohttp==3.14.5"
echo "with aiohttp"
"$scratch/v/bin/python" "$scratch/stream.py" cut
