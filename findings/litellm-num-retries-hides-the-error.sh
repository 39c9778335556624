#!/usr/bin/env bash
# litellm 1.110.2: `num_retries` retries nothing after `pip install litellm`, and takes the error away. The retries need
# tenacity, which is no dependency of the package, and the lack shows only when a call has failed: the caller gets a
# plain Exception instead of the class that the documentation names. Code that falls back on RateLimitError or
# ServiceUnavailableError then does not, only because it asked for retries as well.
#
# With tenacity the number of requests depends on the provider: num_retries=2 sends 5 requests to an OpenAI endpoint,
# because the OpenAI client repeats the first attempt too, and 3 to Anthropic's. max_retries=0 does not change this.
# The report of the missing package, github.com/BerriAI/litellm/issues/19462, is closed.
#
# Seen on 2026-12-01 with Python 3.11, a provider that always answers 503
#   num_retries                            none given                     2
#   openai/m, as installed                 3, ServiceUnavailableError     3, Exception: tenacity import failed …
#   anthropic/m, as installed              1, ServiceUnavailableError     1, Exception: tenacity import failed …
#   openai/m, with tenacity 9.1.2          3, ServiceUnavailableError     5, ServiceUnavailableError
#   the same, max_retries=0                1, ServiceUnavailableError     5, ServiceUnavailableError
#   anthropic/m, with tenacity 9.1.2       1, ServiceUnavailableError     3, ServiceUnavailableError
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
# It answers 503 with "retry-after-ms: 1", so the pauses of the OpenAI client are short.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cat >"$scratch/ask.py" <<'PY'
import http.server
import sys
import threading

import litellm

litellm.suppress_debug_info = True
requests = []


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(503)
        self.send_header("content-length", "0")
        self.send_header("retry-after-ms", "1")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
question = {"messages": [{"role": "user", "content": "Hi"}], "api_key": "k"}
question["api_base"] = f"http://127.0.0.1:{server.server_port}"


def play(model, **settings):
    requests.clear()
    try:
        litellm.completion(model, **question, **settings)
    except Exception as error:
        name = type(error).__name__
        print(f"{model} {settings}: {len(requests)} request(s), {name}: {str(error)[:60]}")
        return len(requests), name


GOOD, HIDDEN = "ServiceUnavailableError", "Exception"
assert play("openai/m") == (3, GOOD)
assert play("openai/m", max_retries=0) == (1, GOOD)
assert play("anthropic/m") == (1, GOOD)
if sys.argv[1] == "as installed":
    assert play("openai/m", num_retries=2) == (3, HIDDEN)
    assert play("anthropic/m", num_retries=2) == (1, HIDDEN)
else:
    assert play("openai/m", num_retries=2) == (5, GOOD)
    assert play("openai/m", num_retries=2, max_retries=0) == (5, GOOD)
    assert play("anthropic/m", num_retries=2) == (3, GOOD)
PY
python3 -m venv "$scratch/v"
install() { "$scratch/v/bin/pip" install -q --disable-pip-version-check "$@" 2>/dev/null; }
export LITELLM_LOCAL_MODEL_COST_MAP=True # no request for a list of prices
install "litellm==1.110.2"
echo "as installed"
"$scratch/v/bin/python" "$scratch/ask.py" "as installed"
install "tenacity==9.1.2"
echo "with tenacity"
"$scratch/v/bin/python" "$scratch/ask.py" "with tenacity"
