#!/usr/bin/env bash
# llama-index-llms-openai 0.8.3: `max_retries` counts twice. The class gives it to the OpenAI client, and repeats the
# call of that client as often itself. With max_retries=3, which no one has to set, a server that is overloaded gets
# 12 requests for one question. The text on the field says "The maximum number of API retries."
#
# A timeout is repeated in the same way: a server that answers slowly computes, and may charge, 12 answers.
# max_retries=1 sends 2 requests, max_retries=2 sends 6.
#
# Seen on 2026-12-01 with Python 3.11 and openai 2.54.0: requests for one call to complete()
#   max_retries=0 1, max_retries=1 2, max_retries=2 6, none given 12
#   none given, with a timeout and a server that is too slow: 12
#   openai 2.54.0 alone, max_retries=3: 4
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
# It answers 503 with "retry-after-ms: 1", so the pauses of the OpenAI client are short.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("llama-index-llms-openai==0.8.3" "openai==2.54.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import logging
import threading
import time

import openai
from llama_index.llms.openai import OpenAI

logging.disable(logging.CRITICAL)
requests, slow = [], []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["content-length"])))
        if slow:
            time.sleep(1)  # the client has gone by then
            return
        self.send_response(503)
        self.send_header("content-length", "0")
        self.send_header("retry-after-ms", "1")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_port}/v1"


def sent(name, call):
    requests.clear()
    try:
        call()
    except openai.APIError as error:
        print(f"{name}: {len(requests)} request(s), {type(error).__name__}")
    return len(requests)


def llama_index(**settings):
    return lambda: OpenAI(model="gpt-4o", api_key="k", api_base=url, **settings).complete("Hi")


def alone():
    client = openai.OpenAI(api_key="k", base_url=url, max_retries=3)
    client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])


assert sent("openai alone, max_retries=3", alone) == 4
assert sent("max_retries=0", llama_index(max_retries=0)) == 1
assert sent("max_retries=1", llama_index(max_retries=1)) == 2
assert sent("max_retries=2", llama_index(max_retries=2)) == 6
assert sent("none given", llama_index()) == 12
slow.append(True)
assert sent("none given, too slow", llama_index(timeout=0.2)) == 12
PY
