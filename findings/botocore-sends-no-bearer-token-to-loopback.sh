#!/usr/bin/env bash
# botocore 1.44.8: with AWS_BEARER_TOKEN_BEDROCK, a client with an http:// endpoint refuses every request, also one to
# 127.0.0.1. With an access key (SigV4) the same endpoint works, so a local stand-in for Bedrock needs an access key.
#
# Seen on 2026-11-30 with Python 3.11:
#   bearer token   InvalidEndpointConfigurationError: Invalid endpoint configuration: Bearer authorization requires an HTTPS endpoint.
#   access key     POST /model/m/converse, authorization: AWS4-HMAC-SHA256 …
#
# Exits with 1 if a version behaves in another way. The requests go to a server on 127.0.0.1 that records them.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python3 -m venv "$scratch/v"
"$scratch/v/bin/pip" install -q --disable-pip-version-check "botocore==1.44.8" 2>/dev/null
"$scratch/v/bin/python" - <<'PY'
import contextlib
import http.server
import os
import threading

import botocore.config
import botocore.exceptions
import botocore.session

seen = []


class Recorder(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers.get("content-length", 0)))
        seen.append((self.path, self.headers["authorization"].split(" ")[0]))
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
threading.Thread(target=server.serve_forever, daemon=True).start()


def converse():
    client = botocore.session.get_session().create_client(
        "bedrock-runtime",
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{server.server_port}",
        config=botocore.config.Config(retries={"total_max_attempts": 1}),
    )
    client.converse(modelId="m", messages=[{"role": "user", "content": [{"text": "hi"}]}])


os.environ["AWS_BEARER_TOKEN_BEDROCK"] = "token"
try:
    converse()
except botocore.exceptions.BotoCoreError as error:
    print(f"bearer token: {type(error).__name__}: {error}")
    assert "requires an HTTPS endpoint" in str(error)
assert seen == []
del os.environ["AWS_BEARER_TOKEN_BEDROCK"]
os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="s")
with contextlib.suppress(botocore.exceptions.ClientError):
    converse()
print(f"access key: {seen}")
assert seen == [("/model/m/converse", "AWS4-HMAC-SHA256")], seen
PY
