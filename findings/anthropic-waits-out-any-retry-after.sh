#!/usr/bin/env bash
# anthropic 2.15.0: the client sleeps as long as Retry-After says, up to 49 days, inside one call. The timeout of the
# client does not end the wait, and nothing is raised: a line in the log at level INFO is all that shows it.
#
# Clients that came from the same generator differ, and many programs still expect what all of them did before 2026:
# "a wait of more than 60 seconds is ignored". groq still does this, and sends its request again after half a second,
# twice. openai raises the error at once if the wait is longer than 2 minutes (github.com/openai/openai-python/pull/3555).
# So a gateway that tells an honest hour gets silence, three requests or one, from its clients.
#
# Seen on 2026-12-01 with Python 3.11: 429 with "retry-after: 3600", timeout 1 s, retries as each SDK has them
#   anthropic 2.15.0   1 request, "Retrying request to /v1/messages in 3600.000000 seconds", still waits 3 s later
#   openai 3.57.0      1 request, RateLimitError at once
#   groq 1.7.0         3 requests within 3 s, then RateLimitError
#   all three, "x-should-retry: false" beside it: 1 request, RateLimitError at once
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that plays the provider.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
packages=("anthropic==2.15.0" "openai==3.57.0" "groq==1.7.0")
"$scratch/v/bin/pip" install -q --disable-pip-version-check "${packages[@]}" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import http.server
import logging
import re
import threading

import anthropic
import groq
import openai

requests, extra = [], {}
pauses, waiting = [], threading.Event()


class Provider(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        requests.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(429)
        for name, value in {"content-length": "0", "retry-after": "3600", **extra}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *arguments):
        pass


class Pauses(logging.Handler):
    def emit(self, record):
        if found := re.search(r"Retrying request to \S+ in (\S+) seconds", record.getMessage()):
            pauses.append(float(found[1]))
            waiting.set()


for name in ("anthropic", "openai", "groq"):
    logging.getLogger(name).setLevel(logging.INFO)
    logging.getLogger(name).addHandler(Pauses())
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Provider)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "timeout": 1}
question = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def ask_anthropic():
    anthropic.Anthropic(**settings).messages.create(max_tokens=9, **question)


def ask_openai():
    openai.OpenAI(**settings).chat.completions.create(**question)


def ask_groq():
    groq.Groq(**settings).chat.completions.create(**question)


def play(ask):
    requests.clear()
    pauses.clear()
    outcome = []

    def call():
        try:
            ask()
        except Exception as error:
            outcome.append(type(error).__name__)
            waiting.set()

    waiting.clear()
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    assert waiting.wait(60)  # until the first pause or the error
    thread.join(60 if pauses and pauses[0] < 60 else 3)
    state = outcome[0] if outcome else "still waits"
    print(f"{ask.__name__} {extra}: {len(requests)} request(s), pauses {pauses}, {state}")
    assert thread.is_alive() == (not outcome)
    return len(requests), state


assert play(ask_anthropic) == (1, "still waits")
assert pauses == [3600.0]
assert play(ask_openai) == (1, "RateLimitError")
assert play(ask_groq) == (3, "RateLimitError")
assert max(pauses) < 2
extra["x-should-retry"] = "false"
for ask in (ask_anthropic, ask_openai, ask_groq):
    assert play(ask) == (1, "RateLimitError")
PY
