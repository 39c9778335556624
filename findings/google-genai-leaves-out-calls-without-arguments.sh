#!/usr/bin/env bash
# google-genai 3.6.1, automatic function calling: the blocking client never runs a function whose call has no `args`.
# The asyncio client runs it. `args` is optional in the API, and a function without parameters has none to send.
#
# If it is the only call, the answer has no text and no error. If the model asks for two functions in one turn, the next
# request has two calls and one result. Gemini refuses that with 400 INVALID_ARGUMENT ("… the number of function
# response parts is equal to the number of function call parts …"; github.com/microsoft/vscode/issues/299295).
# Neither client repeats the `id` of a call in its result, though the SDK's own text on FunctionCall.id says to
# return the response with the matching id.
#
# Seen on 2026-12-01 with Python 3.11, functions clock() and weather(city):
#   one call, blocking     ran [], 1 request, text None
#   one call, asyncio      ran ['clock'], 2 requests, text 'Done.'
#   two calls, blocking    ran ['weather'], results in the next request: [('weather', None)]
#   two calls, asyncio     ran ['weather', 'clock'], results: [('weather', None), ('clock', None)]
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "google-genai==3.6.1" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import asyncio
import http.server
import json
import threading

from google import genai
from google.genai import types

CLOCK = {"functionCall": {"id": "call-2", "name": "clock"}}
WEATHER = {"functionCall": {"id": "call-1", "name": "weather", "args": {"city": "Bern"}}}
requests, turns, ran = [], [], []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        content = {"role": "model", "parts": turns.pop(0)}
        body = json.dumps({"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


def clock() -> str:
    """Tell the time."""
    ran.append("clock")
    return "noon"


def weather(city: str) -> str:
    """Tell the weather in a city."""
    ran.append("weather")
    return f"sun in {city}"


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="k", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
question = {"model": "m", "contents": "?", "config": types.GenerateContentConfig(tools=[clock, weather])}


def blocking():
    return client.models.generate_content(**question)


def on_asyncio():
    return asyncio.run(client.aio.models.generate_content(**question))


def play(ask, calls):
    turns[:] = [calls, [{"text": "Done."}]]
    requests.clear()
    ran.clear()
    text = ask().text
    parts = requests[-1]["contents"][-1]["parts"]
    responses = [part["functionResponse"] for part in parts if "functionResponse" in part]
    results = [(response["name"], response.get("id")) for response in responses]
    print(f"{ask.__name__}, {len(calls)} call(s): ran {ran}, {len(requests)} request(s), {text!r}, results {results}")
    return list(ran), len(requests), text, results


assert play(blocking, [CLOCK]) == ([], 1, None, [])
assert play(on_asyncio, [CLOCK]) == (["clock"], 2, "Done.", [("clock", None)])
assert play(blocking, [WEATHER, CLOCK]) == (["weather"], 2, "Done.", [("weather", None)])
assert play(on_asyncio, [WEATHER, CLOCK]) == (["weather", "clock"], 2, "Done.", [("weather", None), ("clock", None)])
PY
