#!/usr/bin/env bash
# llama-index-llms-openai 0.8.3: a stream keeps the first tool call of each chunk and loses the others without an error.
# `delta.tool_calls` is a list with an `index` for each call (ChoiceDelta of the openai SDK), and a server that has two
# whole calls at once sends both in one chunk. A LiteLLM proxy does this for Gemini: see the recorded chunk in
# github.com/BerriAI/litellm/pull/11999. The agent then runs one function of two, and the model never gets a result
# for the other. Without streaming, both calls arrive. OpenAILike inherits the fault.
#
# If the chunks of two calls alternate, the arguments are lost too: the class compares the index with the last call
# only, so each change begins a new call.
#
# Seen on 2026-12-01 with Python 3.11 and openai 2.54.0: calls weather(Bern) and weather(Oslo)
#   chat_with_tools()                            Bern, Oslo
#   stream, one call after the other             Bern, Oslo
#   stream, both calls in one chunk              Bern
#   stream, the chunks of the calls alternate    4 calls, none with both an id and its city
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("llama-index-llms-openai==0.8.3" "llama-index-llms-openai-like==0.8.1" "openai==2.54.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import json
import threading

from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

CITIES = ["Bern", "Oslo"]


def call(index):
    arguments = json.dumps({"city": CITIES[index]})
    function = {"name": "weather", "arguments": arguments}
    return {"index": index, "id": f"call-{index}", "type": "function", "function": function}


def head(index):
    return {**call(index), "function": {"name": "weather", "arguments": ""}}


def rest(index):
    return {"index": index, "function": {"arguments": call(index)["function"]["arguments"]}}


STREAMS = {
    "one after the other": [[head(0)], [rest(0)], [head(1)], [rest(1)]],
    "both in one chunk": [[call(0), call(1)]],
    "alternating": [[head(0)], [head(1)], [rest(0)], [rest(1)]],
}
chunks = []


def answer(kind, part, finish_reason):
    choice = {"index": 0, kind: {"role": "assistant", "content": None, **part}, "finish_reason": finish_reason}
    name = "chat.completion" if kind == "message" else "chat.completion.chunk"
    return json.dumps({"id": "c", "object": name, "created": 1, "model": "m", "choices": [choice]})


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if request.get("stream"):
            events = [answer("delta", {"tool_calls": calls}, None) for calls in chunks]
            events += [answer("delta", {}, "tool_calls"), "[DONE]"]
            body, kind = "".join(f"data: {event}\n\n" for event in events), "text/event-stream"
        else:
            body, kind = answer("message", {"tool_calls": [call(0), call(1)]}, "tool_calls"), "application/json"
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *arguments):
        pass


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sun in {city}"


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
model = OpenAILike(
    model="m",
    api_key="k",
    api_base=f"http://127.0.0.1:{server.server_port}/v1",
    is_chat_model=True,
    is_function_calling_model=True,
)
question = {"tools": [FunctionTool.from_defaults(weather)], "user_msg": "?", "allow_parallel_tool_calls": True}


def calls_of(name, response):
    found = model.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    calls = [(value.tool_id, value.tool_kwargs.get("city")) for value in found]
    print(f"{name}: {calls}")
    return calls


BOTH = [("call-0", "Bern"), ("call-1", "Oslo")]
assert calls_of("chat_with_tools()", model.chat_with_tools(**question)) == BOTH
seen = {}
for name, chunks[:] in STREAMS.items():
    *_, last = model.stream_chat_with_tools(**question)
    seen[name] = calls_of(name, last)
assert seen["one after the other"] == BOTH
assert seen["both in one chunk"] == BOTH[:1]
assert len(seen["alternating"]) == 4
assert not set(BOTH) & set(seen["alternating"])
PY
