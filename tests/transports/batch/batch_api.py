"""A provider with OpenAI's batch API, as a transport without a network, or as a server on loopback."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs

from turnout.http import Headers, HttpRequest, TransportTimeouts

__all__ = ["BatchApi"]


@attrs.define
class _Response:
    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def read(self, timeout: float | None) -> bytes:
        body, self.body = self.body, b""
        return body

    def close(self) -> None:
        """Nothing is open."""


def _answered(line: dict[str, Any]) -> dict[str, Any]:
    body = {"id": "chatcmpl-1", "choices": [{"message": {"content": line["body"]["messages"][-1]["content"]}}]}
    response = {"status_code": 200, "request_id": "req", "body": body}
    return {"id": "batch_req", "custom_id": line["custom_id"], "response": response, "error": None}


@attrs.define(eq=False)
class BatchApi:
    """Files and batches. A batch is completed at its third look.

    Attributes:
        calls: (method, path) of each request.
        before: Called before a request is applied, and after; an error of it is raised.
        answer: Makes the result of a row; None for no result.
        status: The last status of each batch.
        together: True for the forms of Together: another path for uploads, a creation inside `job`, the list of
            batches as an array, and statuses in capital letters.
    """

    calls: list[tuple[str, str]] = attrs.field(factory=list)
    files: dict[str, bytes] = attrs.field(factory=dict)
    batches: dict[str, dict[str, Any]] = attrs.field(factory=dict)
    before: Callable[[str, str], None] = lambda method, path: None
    after: Callable[[str, str], None] = lambda method, path: None
    answer: Callable[[dict[str, Any]], dict[str, Any] | None] = _answered
    status: str = "completed"
    together: bool = False

    def open(self, request: HttpRequest, timeouts: TransportTimeouts) -> _Response:
        """Apply a request."""
        path = re.sub(r"^https?://[^/]+(/[a-z]+)*/v[14]", "", request.url)
        method = request.method
        self.calls.append((method, path))
        self.before(method, path)
        status = 401
        reply: Any = {"error": {"message": "wrong key"}}
        if request.headers.get("authorization") == "Bearer k":
            status, reply = self._apply(method, path, request)
        self.after(method, path)
        return _Response(status, reply if isinstance(reply, bytes) else json.dumps(reply).encode())

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serve it on loopback, and return its base URL."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                size = int(self.headers.get("content-length") or 0)
                url = f"http://127.0.0.1{self.path}"
                headers = Headers([(name, value) for name, value in self.headers.items()])
                method: Any = self.command
                response = api.open(HttpRequest(method, url, headers, self.rfile.read(size)), TransportTimeouts())
                with contextlib.suppress(OSError):  # the client was killed
                    self.send_response(response.status)
                    self.send_header("Content-Length", str(len(response.body)))
                    self.end_headers()
                    self.wfile.write(response.body)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *arguments: object) -> None:
                """Print nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
            server.server_close()

    def close(self) -> None:
        """Nothing is open."""

    @property
    def rows(self) -> list[str]:
        """The custom_id of each row of each batch."""
        return [line["custom_id"] for batch in self.batches.values() for line in self._lines(batch)]

    def _lines(self, batch: dict[str, Any]) -> Iterable[dict[str, Any]]:
        return [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]

    def _apply(self, method: str, path: str, request: HttpRequest) -> tuple[int, Any]:
        if (method, path) == ("POST", "/files/upload" if self.together else "/files"):
            purpose = b"batch-api" if self.together else b"batch"
            assert b'name="purpose"\r\n\r\n' + purpose + b"\r\n" in request.body
            assert (b'name="file_name"' in request.body) is self.together
            found = re.search(rb"application/jsonl\r\n\r\n(.*)\r\n--", request.body, re.DOTALL)
            assert found is not None
            name = f"file-{len(self.files)}"
            self.files[name] = found[1]
            return 200, {"id": name, "object": "file"}
        if (method, path) == ("POST", "/batches"):
            fields = json.loads(request.body)
            batch = {**fields, "id": f"batch-{len(self.batches)}", "status": "validating", "looks": 0}
            assert not (self.together and "metadata" in fields)
            self.batches[batch["id"]] = batch
            return 200, {"job": batch} if self.together else batch
        if path.startswith("/batches?"):
            newest = list(self.batches.values())[::-1]
            if self.together:
                return 200, newest
            after = path.partition("&after=")[2]
            names = [batch["id"] for batch in newest]
            page = newest[names.index(after) + 1 if after else 0 :][:1]
            return 200, {"data": page, "has_more": bool(page) and page[0] is not newest[-1]}
        if path.startswith("/batches/"):
            name = path.split("/")[2]
            if path.endswith("/cancel"):
                self.batches[name]["status"] = "cancelling"
                return 200, self.batches[name]
            batch = self._look(self.batches[name])
            return 200, {**batch, "status": batch["status"].upper()} if self.together else batch
        if path.endswith("/content"):
            return 200, self.files[path.split("/")[2]]
        return 404, {"error": {"message": "no such path"}}

    def _look(self, batch: dict[str, Any]) -> dict[str, Any]:
        batch["looks"] += 1
        if batch["looks"] < 3:
            batch["status"] = "in_progress"
            return batch
        results = [result for line in self._lines(batch) if (result := self.answer(line)) is not None]
        for name, wanted in (("output_file_id", True), ("error_file_id", False)):
            lines = [json.dumps(one) for one in results if (one["response"]["status_code"] == 200) is wanted]
            if lines:
                batch[name] = f"{name}-{batch['id']}"
                self.files[batch[name]] = "".join(f"{line}\n" for line in lines).encode()
        batch["status"] = self.status
        return batch
