#!/usr/bin/env bash
# openai 3.57.0: the helper client.chat.completions.stream() joins the role of every chunk, as if it were text. With a
# server that repeats the role, the message of get_final_completion() has the role "assistantassistantassistant". A
# program that appends this message to its conversation sends that role with the next request.
#
# Z.AI (glm-4.7) and OpenRouter repeat the role in each chunk. The API reference has one value for it, "assistant",
# and does not say that only one chunk may have it. The type of the message in the SDK is Literal["assistant"].
#
# Seen on 2026-12-01 with Python 3.11:
#   create(stream=True)     roles of the chunks: assistant, assistant, assistant
#   stream()                content 'Red rose', role 'assistantassistantassistant'
#   the next request        roles of its messages: user, assistantassistantassistant, user
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "openai==3.57.0" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import json
import threading

from openai import OpenAI

requests = []


def chunk(content, finish_reason=None):
    choice = {"index": 0, "delta": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


CHUNKS = [chunk("Red"), chunk(" rose"), chunk("", "stop")]
BODY = "".join(f"data: {json.dumps(value)}\n\n" for value in CHUNKS).encode() + b"data: [DONE]\n\n"


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("content-length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = OpenAI(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
conversation = [{"role": "user", "content": "Name a flower."}]
chunks = client.chat.completions.create(model="m", messages=conversation, stream=True)
roles = [value.choices[0].delta.role for value in chunks]
print("create(stream=True):", roles)
assert roles == ["assistant"] * 3, roles


def final_message():
    with client.chat.completions.stream(model="m", messages=conversation) as stream:
        return stream.get_final_completion().choices[0].message


message = final_message()
print(f"stream(): content {message.content!r}, role {message.role!r}")
assert (message.content, message.role) == ("Red rose", "assistant" * 3)
conversation += [message, {"role": "user", "content": "Another one."}]
final_message()
sent = [value["role"] for value in requests[-1]["messages"]]
print("the next request:", sent)
assert sent == ["user", "assistant" * 3, "user"], sent
PY
