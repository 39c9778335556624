#!/usr/bin/env bash
# together 3.1.1: client.models.list() lists the models that a project has uploaded, not those that Together serves.
#
# Seen on 2026-11-30 with Python 3.11:
#   Together(api_key="k").models.list()
#     ValueError: Missing project_id argument; Please provide it at the client level, e.g. Together(project_id='abcd') or per method.
#   Together(api_key="k", project_id="p").models.list()            GET /v2/projects/p/models
#   Together(api_key="k").models.list_supported()                  GET /v2/supported-models
#   Together(api_key="k").chat.completions.create(…)               POST /v1/chat/completions
#
# The base URL of the client ends at the host: each method has the version of the API in its path.
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that records them.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "together==3.1.1" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import contextlib
import http.server
import threading

from together import Together

paths = []


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        paths.append(f"{self.command} {self.path.partition('?')[0]}")
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()
settings = {"api_key": "k", "base_url": f"http://127.0.0.1:{server.server_port}", "max_retries": 0}
try:
    Together(**settings).models.list()
except ValueError as error:
    print(f"models.list(): ValueError: {error}")
else:
    raise SystemExit("models.list() needs no project now")
for call in (
    lambda: Together(**settings, project_id="p").models.list(),
    lambda: Together(**settings).models.list_supported(),
    lambda: Together(**settings).chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}]),
):
    with contextlib.suppress(Exception):
        call()
print("\n".join(paths))
assert paths == ["GET /v2/projects/p/models", "GET /v2/supported-models", "POST /v1/chat/completions"], paths
PY
