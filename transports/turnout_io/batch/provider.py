"""Answers the rows of files through the batch API of one provider: `turnout batch --via provider`.

Beside the output are a journal (`out.jsonl.jobs`) and one file for each part that was sent (`out.jsonl.part-NAME`). A
record is on the disk before the next request is sent, so the same command resumes after a crash at any point.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from turnout.batch.output import RowFailure
from turnout.batch.progress import BatchSummary
from turnout.batch.provider_batch import (
    MOST_BYTES,
    MOST_ROWS,
    ApiRequest,
    ProviderBatch,
    ProviderBatchError,
    Stage,
    read_results,
)
from turnout.batch.rows import BatchInputError, BatchRow
from turnout.chat import ModelConfig
from turnout.errors import TransportError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout_io.batch.files import BatchFiles
from turnout_io.drivers._sync.router import SyncRouter
from turnout_io.drivers.signing import sign_request

__all__ = ["ProviderRun"]

FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 600.0
"""Seconds between two looks at a batch."""

_TIMEOUTS: Final = TransportTimeouts(connect=30.0, response_headers=300.0)
_READ_TIMEOUT: Final = 60.0
# Dialects of OpenAI, whose API for files and batches lies beside `/models`.
_PROVIDERS: Final = ("openai", "groq", "together", "zai")


class _RequestRefused(ProviderBatchError):
    """The provider refused a request. `passes` is True if the same request may succeed later."""

    def __init__(self, message: str, *, passes: bool) -> None:
        super().__init__(message)
        self.passes = passes


@attrs.define(eq=False)
class _Journal:
    """The records of all parts of one output, in a file that only grows."""

    path: Path

    def parts(self) -> dict[str, ProviderBatch]:
        """Return the parts that are not fetched, by name."""
        records: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        if self.path.exists():
            for line in self.path.read_bytes().split(b"\n"):
                try:
                    record = json.loads(line)
                except ValueError:
                    continue  # the last line of a process that was killed
                records[record["name"]].append(record)
        parts = {name: ProviderBatch.restore(found) for name, found in records.items()}
        return {name: part for name, part in parts.items() if part.stage is not Stage.FETCHED}

    def write(self, record: dict[str, Any]) -> None:
        """Append a record, and wait until it is on the disk."""
        with self.path.open("ab") as file:
            if file.tell() and not self._ends_with_line():
                file.write(b"\n")
            file.write(json.dumps(record).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _ends_with_line(self) -> bool:
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"


@attrs.define(eq=False)
class ProviderRun:
    """One run over files through a provider's batches.

    Args:
        router: A blocking router, for the provider's account and the transport.
        files: The input and the output.
        output: The path of the output.
        models: The model of every row; () uses the rows' own models.
        sleep: Waits for some seconds.
        report: Called with a line for the user.
        most_rows: Rows of a part.
        most_bytes: Bytes of a part.
    """

    router: SyncRouter
    files: BatchFiles
    output: Path
    models: Sequence[ModelConfig] = ()
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[str], None] = lambda line: None
    most_rows: int = MOST_ROWS
    most_bytes: int = MOST_BYTES
    _journal: _Journal = attrs.field(init=False)
    _provider: str = attrs.field(default="", init=False)
    _rows: dict[str, BatchRow] = attrs.field(factory=dict, init=False)  # without their bodies
    _model_of: dict[str, str] = attrs.field(factory=dict, init=False)
    _answered: int = attrs.field(default=0, init=False)
    _failed: defaultdict[str, int] = attrs.field(factory=lambda: defaultdict(int), init=False)

    def __attrs_post_init__(self) -> None:
        self._journal = _Journal(self.output.with_name(f"{self.output.name}.jobs"))

    def run(self) -> BatchSummary:
        """Send the rows in parts, wait for the batches, and write their results.

        Raises:
            BatchInputError: If the rows cannot be sent to the batch API of one provider.
            ProviderBatchError: If the provider refuses a part.
        """
        started = time.monotonic()
        parts = self._journal.parts()
        claimed = {custom_id for name in parts for custom_id in self._claimed(name)}
        for name, endpoint in self._write_parts(claimed):
            part = ProviderBatch(name, endpoint)
            self._journal.write(part.record())
            parts[name] = part
        for part in parts.values():
            self._advance(part, until=Stage.CREATED)
        pause = FIRST_PAUSE
        while waiting := [part for part in parts.values() if part.stage is Stage.CREATED]:
            for part in waiting:
                self._advance(part, until=Stage.ENDED)
            if any(part.stage is Stage.CREATED for part in waiting):
                self.report(", ".join(f"{part.batch_id}: {part.status or 'created'}" for part in waiting))
                self.sleep(pause)
                pause = min(LONGEST_PAUSE, 1.5 * pause)
        for part in parts.values():
            self._fetch(part)
        return BatchSummary(
            rows=None,
            skipped=0,
            answered=self._answered,
            failed=dict(self._failed),
            left=0,
            cost=0.0,
            seconds=time.monotonic() - started,
            stopped="complete",
        )

    def cancel(self) -> list[str]:
        """Cancel every batch that is not fetched, and return their names. The next run fetches the finished rows."""
        for _ in self._write_parts(set(), dry=True):
            pass  # finds the provider
        cancelled = []
        for part in self._journal.parts().values():
            if part.stage is Stage.CREATED:
                self._call(ApiRequest(kind="create", method="POST", path=f"/batches/{part.batch_id}/cancel", body={}))
                cancelled.append(part.batch_id)
        return cancelled

    # -- parts ------------------------------------------------------------------------------------------------------

    def _path_of(self, name: str) -> Path:
        return self.output.with_name(f"{self.output.name}.part-{name[:16]}")

    def _claimed(self, name: str) -> list[str]:
        """Return the rows of a part that was made before."""
        try:
            with self._path_of(name).open("rb") as file:
                return [str(json.loads(line)["custom_id"]) for line in file]
        except FileNotFoundError:
            raise ProviderBatchError(f"{self._path_of(name)} is missing; it names the rows of a batch") from None

    def _write_parts(self, claimed: set[str], *, dry: bool = False) -> Iterator[tuple[str, str]]:
        """Write the rows that no part has to files, and yield the name and the endpoint of each part."""
        open_parts: dict[str, list[bytes]] = defaultdict(list)
        sizes: defaultdict[str, int] = defaultdict(int)
        for row in self.files.rows():
            model = self._model(row)
            self._rows[row.custom_id] = attrs.evolve(row, body={})
            self._model_of[row.custom_id] = str(model)
            if row.custom_id in claimed or dry:
                continue
            line = msgspec.json.encode(
                {
                    "custom_id": row.custom_id,
                    "method": "POST",
                    "url": f"/v1/{row.endpoint}",
                    "body": {**row.body, "model": model.model_id},
                }
            )
            lines = open_parts[row.endpoint]
            if lines and (len(lines) >= self.most_rows or sizes[row.endpoint] + len(line) + 1 > self.most_bytes):
                yield self._write_part(lines), f"/v1/{row.endpoint}"
                lines.clear()
                sizes[row.endpoint] = 0
            lines.append(line)
            sizes[row.endpoint] += len(line) + 1
        for endpoint, lines in open_parts.items():
            if lines:
                yield self._write_part(lines), f"/v1/{endpoint}"

    def _write_part(self, lines: Sequence[bytes]) -> str:
        content = b"".join(line + b"\n" for line in lines)
        name = secrets.token_hex(16)
        with self._path_of(name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return name

    def _model(self, row: BatchRow) -> ModelConfig:
        name = row.body.get("model")
        try:
            model = self.models[0] if self.models else ModelConfig.parse(str(name))
        except ValueError as error:
            raise BatchInputError(f"line {row.line}: {error}") from None
        if model.is_route or model.provider not in _PROVIDERS:
            known = ", ".join(_PROVIDERS)
            raise BatchInputError(f"line {row.line}: --via provider needs a model of {known}, not {model}")
        if self._provider and model.provider != self._provider:
            raise BatchInputError(f"line {row.line}: all rows must have one provider, not {self._provider} and {model}")
        self._provider = model.provider
        return model

    # -- steps ------------------------------------------------------------------------------------------------------

    def _advance(self, part: ProviderBatch, until: Stage) -> None:
        """Send the requests of a part until it has a stage. A poll is sent once."""
        order = list(Stage)
        while order.index(part.stage) < order.index(until):
            request = part.next_request()
            assert request is not None
            try:
                reply = self._call(request, self._path_of(part.name) if request.kind == "upload" else None)
            except (TransportError, _RequestRefused) as error:
                if request.kind == "poll" and (isinstance(error, TransportError) or error.passes):
                    return  # the next look may succeed
                raise
            try:
                record = part.receive(request, json.loads(reply))
            except (ValueError, AttributeError):
                raise ProviderBatchError(f"the reply to {request.method} {request.path} is not a JSON object") from None
            if record is not None:
                self._journal.write(record)
            if request.kind == "poll":
                return

    def _fetch(self, part: ProviderBatch) -> None:
        """Write the results of a part that has ended."""
        left = dict.fromkeys(self._claimed(part.name))
        while (request := part.next_request()) is not None:
            content = self._call(request)
            for custom_id, outcome in read_results(content, ""):
                if custom_id not in left:
                    raise ProviderBatchError(f"batch {part.batch_id} has a double or unknown result: {custom_id!r}")
                del left[custom_id]
                self._write(custom_id, attrs.evolve(outcome, model=self._model_of.get(custom_id, "")))
            part.fetched()
        for custom_id in left:
            message = f"batch {part.batch_id} has the status {part.status}, and no result for this row"
            self._write(custom_id, RowFailure(code=part.status, message=message, temporary=True))
        self._journal.write(part.end())
        self._path_of(part.name).unlink()

    def _write(self, custom_id: str, outcome: Any) -> None:
        row = self._rows.get(custom_id)
        if row is None:
            return  # the output has it already, or the input has it no more
        self.files.write(row, outcome)
        if isinstance(outcome, RowFailure):
            self._failed[outcome.code] += 1
        else:
            self._answered += 1

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def _call(self, request: ApiRequest, upload: Path | None = None) -> bytes:
        """Send a request, and return the body of its response.

        Raises:
            TransportError: If the provider cannot be reached.
            ProviderBatchError: If it refuses the request.
        """
        provider = self.router._core._registry.find(ModelConfig(self._provider, "batch")).provider
        template = provider.models().request
        fields = [field for field in template.headers if field[0].lower() != "content-type"]
        body = b""
        if upload is not None:
            content_type, body = _multipart(upload)
            fields.append(("Content-Type", content_type))
        elif request.body is not None:
            body = json.dumps(request.body).encode()
            fields.append(("Content-Type", "application/json"))
        url = template.url.removesuffix("/models") + request.path
        http = HttpRequest(request.method, url, Headers(fields), body, auth=template.auth)
        response = self.router._get_transport().open(sign_request(http), _TIMEOUTS)
        try:
            content = b"".join(iter(lambda: response.read(_READ_TIMEOUT), b""))
        finally:
            response.close()
        if response.status >= 400:
            message = _message(content) or f"status {response.status}"
            raise _RequestRefused(
                f"{self._provider} refused {request.method} {request.path}: {message}",
                passes=response.status >= 500 or response.status == 429,
            )
        return content


def _multipart(path: Path) -> tuple[str, bytes]:
    """Return the content type and the body of an upload (RFC 7578)."""
    boundary = f"turnout-{secrets.token_hex(16)}"
    purpose = f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    head = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    body = purpose.encode() + head.encode() + path.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


def _message(content: bytes) -> str:
    try:
        error = json.loads(content).get("error")
    except (ValueError, AttributeError):
        return ""
    return str(error.get("message", ""))[:500] if isinstance(error, dict) else str(error or "")[:500]
