"""Answers the rows of files through the batch API of one provider: `turnout batch --via provider`.

Beside the output are a journal (`out.jsonl.jobs`) and one file for each part that was sent (`out.jsonl.part-NAME`). A
record is on the disk before the next request is sent, so the same command resumes after a crash at any point. The file
of a part has all that its results need, so they are kept whatever the input is by then.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import msgspec

from turnout.batch.output import Answered, RowFailure
from turnout.batch.progress import BatchSummary
from turnout.batch.provider_batch import (
    BATCH_SERVICES,
    MOST_ROWS,
    ApiRequest,
    BatchService,
    PartRow,
    ProviderBatch,
    ProviderBatchError,
    Stage,
    part_row,
    read_part,
    read_results,
)
from turnout.batch.rows import BatchInputError, BatchRow, Endpoint
from turnout.chat import ModelConfig
from turnout.errors import TransportError
from turnout.http import Headers, HttpRequest, TransportTimeouts
from turnout.redaction import Redactor, escape_controls, secrets_of_header
from turnout_io.batch.files import BatchFiles
from turnout_io.drivers._sync.router import SyncRouter
from turnout_io.drivers.signing import sign_request

__all__ = ["ProviderRun"]

FILE_NAME: Final = "batch.jsonl"

FIRST_PAUSE: Final = 30.0
LONGEST_PAUSE: Final = 600.0
"""Seconds between two looks at a batch."""

_TIMEOUTS: Final = TransportTimeouts(connect=30.0, response_headers=300.0)
_READ_TIMEOUT: Final = 60.0
_TRIES: Final = 4
"""Requests for one upload, search or file of results. They can be repeated without harm, and a creation cannot."""


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
                if isinstance(record, dict):
                    records[str(record.get("name"))].append(record)
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
        first_pause: Seconds until the second look at a batch. Later pauses are longer.
        sleep: Waits for some seconds.
        report: Called with a line for the user.
        most_rows: Rows of a part.
        most_bytes: Bytes of a part; None for the limit of its provider.
    """

    router: SyncRouter
    files: BatchFiles
    output: Path
    models: Sequence[ModelConfig] = ()
    first_pause: float = FIRST_PAUSE
    sleep: Callable[[float], None] = time.sleep
    report: Callable[[str], None] = lambda line: None
    most_rows: int = MOST_ROWS
    most_bytes: int | None = None
    _journal: _Journal = attrs.field(init=False)
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
        self._remove_unrecorded(parts)
        claimed = {(row.custom_id, row.key) for name in parts for row in self._rows_of(name)}
        for part in self._new_parts(claimed):
            self._journal.write(part.record())
            parts[part.name] = part
        for part in parts.values():
            self._advance(part, until=Stage.CREATED)
        pause = self.first_pause
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
            cost=None,
            seconds=time.monotonic() - started,
            stopped="complete",
        )

    def check(self) -> None:
        """Check that every row can be sent, and send nothing.

        Raises:
            BatchInputError: If the rows cannot be sent to the batch API of one provider.
        """
        for _ in self._part_rows(set()):
            pass

    def cancel(self) -> list[str]:
        """Cancel every batch that is not fetched, and return their names. The next run fetches the finished rows."""
        cancelled = []
        for part in self._journal.parts().values():
            while (request := part.next_request()) is not None and request.kind == "find":
                self._send(part, request)
            if part.stage is Stage.CREATED:
                path = f"/batches/{part.batch_id}/cancel"
                self._call(part.provider, ApiRequest(kind="create", method="POST", path=path, body={}))
                cancelled.append(part.batch_id)
        return cancelled

    # -- parts ------------------------------------------------------------------------------------------------------

    def _path_of(self, name: str) -> Path:
        return self.output.with_name(f"{self.output.name}.part-{name[:16]}")

    def _remove_unrecorded(self, parts: Iterable[str]) -> None:
        """Remove the files of parts that a killed process did not record. Nothing was sent of them."""
        known = {self._path_of(name).name for name in parts}
        ours = re.compile(re.escape(f"{self.output.name}.part-") + "[0-9a-f]{16}")
        for path in self.output.parent.iterdir():
            if ours.fullmatch(path.name) and path.name not in known:
                path.unlink()

    def _rows_of(self, name: str) -> list[PartRow]:
        """Return the rows of a part."""
        try:
            return read_part(self._path_of(name).read_bytes())
        except FileNotFoundError:
            raise ProviderBatchError(f"{self._path_of(name)} is missing; it names the rows of a batch") from None

    def _part_rows(self, claimed: Collection[tuple[str, str]]) -> Iterator[PartRow]:
        """Yield the rows that no part has.

        Args:
            claimed: The identity and the key of each row that a part has.
        """
        claimed_ids = {custom_id for custom_id, _ in claimed}
        provider = ""
        for row in self.files.rows():
            model = self._model(row)
            found = part_row(row, model)
            if provider and model.provider != provider:
                raise BatchInputError(f"line {row.line}: all rows must have one provider, not {provider} and {model}")
            provider = model.provider
            if (row.custom_id, row.key) in claimed:
                continue
            if row.custom_id in claimed_ids and self.files.changed != "rerun":
                if self.files.changed == "keep":
                    continue
                raise BatchInputError(
                    f"line {row.line}: the row {row.custom_id!r} is another request than the one in a batch that runs. "
                    "Use --changed rerun to send it too, or --changed keep for the answer of the batch"
                )
            yield found

    def _new_parts(self, claimed: Collection[tuple[str, str]]) -> Iterator[ProviderBatch]:
        """Write the rows that no part has to files, and yield the part of each file."""
        open_parts: dict[Endpoint, list[PartRow]] = defaultdict(list)
        sizes: defaultdict[Endpoint, int] = defaultdict(int)
        for row in self._part_rows(claimed):
            rows, size = open_parts[row.endpoint], len(row.line) + 1
            most_bytes = self.most_bytes or BATCH_SERVICES[ModelConfig.parse(row.model).provider].most_bytes
            if rows and (len(rows) >= self.most_rows or sizes[row.endpoint] + size > most_bytes):
                yield self._write_part(rows)
                rows.clear()
                sizes[row.endpoint] = 0
            rows.append(row)
            sizes[row.endpoint] += size
        for rows in open_parts.values():
            if rows:
                yield self._write_part(rows)

    def _write_part(self, rows: Sequence[PartRow]) -> ProviderBatch:
        provider = ModelConfig.parse(rows[0].model).provider
        part = ProviderBatch(secrets.token_hex(16), provider, BATCH_SERVICES[provider].endpoints[rows[0].endpoint])
        with self._path_of(part.name).open("wb") as file:
            file.write(msgspec.json.Encoder().encode_lines(rows))
            file.flush()
            os.fsync(file.fileno())
        return part

    def _model(self, row: BatchRow) -> ModelConfig:
        if self.models:
            return self.models[0]
        try:
            return ModelConfig.parse(str(row.body.get("model")))
        except ValueError as error:
            raise BatchInputError(f"line {row.line}: {error}") from None

    # -- steps ------------------------------------------------------------------------------------------------------

    def _advance(self, part: ProviderBatch, until: Stage) -> None:
        """Send the requests of a part until it has a stage. A poll is sent once."""
        order = list(Stage)
        while order.index(part.stage) < order.index(until):
            request = part.next_request()
            assert request is not None
            try:
                self._send(part, request)
            except (TransportError, _RequestRefused) as error:
                if request.kind == "poll" and (isinstance(error, TransportError) or error.passes):
                    return  # the next look may succeed
                raise
            if request.kind == "poll":
                return

    def _send(self, part: ProviderBatch, request: ApiRequest) -> None:
        """Send one request of a part, and record the reply."""
        content = self._call(part.provider, request, part if request.kind == "upload" else None)
        try:
            reply = json.loads(content)
        except ValueError:
            raise ProviderBatchError(f"the reply to {request.method} {request.path} is not JSON") from None
        record = part.receive(request, reply)
        if record is not None:
            self._journal.write(record)

    def _fetch(self, part: ProviderBatch) -> None:
        """Write the results of a part that has ended."""
        left = {row.custom_id: row for row in self._rows_of(part.name)}
        while (request := part.next_request()) is not None:
            content = self._call(part.provider, request)
            for custom_id, outcome in read_results(content, ""):
                row = left.pop(custom_id, None)
                if row is None:
                    raise ProviderBatchError(f"batch {part.batch_id} has a double or unknown result: {custom_id!r}")
                self._write(row, attrs.evolve(outcome, model=row.model))
            part.fetched()
        reason = f": {part.problem}" if part.problem else ""
        code = part.status if part.status != "completed" else "no-result"
        message = f"batch {part.batch_id} has the status {part.status}, and no result for this row{reason}"
        for row in left.values():
            self._write(row, RowFailure(code=code, message=message, temporary=True, model=row.model))
        self._journal.write(part.end())
        self._path_of(part.name).unlink()

    def _write(self, row: PartRow, outcome: Answered | RowFailure) -> None:
        if self.files.index.is_done(row.custom_id, row.print):
            return  # an earlier run wrote it, and ended before the last row of the part
        self.files.write(row.row(), outcome)
        if isinstance(outcome, RowFailure):
            self._failed[outcome.code] += 1
        else:
            self._answered += 1

    # -- HTTP -------------------------------------------------------------------------------------------------------

    def _call(self, name: str, request: ApiRequest, upload: ProviderBatch | None = None) -> bytes:
        """Send a request, again if it failed and can be repeated, and return the body of its response.

        Raises:
            TransportError: If the provider cannot be reached.
            ProviderBatchError: If it refuses the request.
        """
        for attempt in itertools.count(1):
            try:
                return self._call_once(name, request, upload)
            except (TransportError, _RequestRefused) as error:
                passes = isinstance(error, TransportError) or error.passes
                if not passes or attempt == _TRIES or request.kind not in ("find", "upload", "fetch"):
                    raise
                self.report(f"{error}; the next try follows")
                self.sleep(self.first_pause)
        raise AssertionError("the loop has no end")

    def _call_once(self, name: str, request: ApiRequest, upload: ProviderBatch | None) -> bytes:
        provider = self.router._core.provider_of(ModelConfig(name, "batch"))
        template = provider.models().request
        fields = [field for field in template.headers if field[0].lower() != "content-type"]
        body = b""
        if upload is not None:
            lines = b"".join(bytes(row.line) + b"\n" for row in self._rows_of(upload.name))
            content_type, body = _multipart(upload.service, lines)
            fields.append(("Content-Type", content_type))
        elif request.body is not None:
            body = json.dumps(request.body).encode()
            fields.append(("Content-Type", "application/json"))
        url = template.url.removesuffix("/models") + request.path
        http = sign_request(HttpRequest(request.method, url, Headers(fields), body, auth=template.auth))
        response = self.router._get_transport().open(http, _TIMEOUTS)
        try:
            content = b"".join(iter(lambda: response.read(_READ_TIMEOUT), b""))
        finally:
            response.close()
        if response.status >= 400:
            message = _message(content, http) or f"status {response.status}"
            raise _RequestRefused(
                f"{name} refused {request.method} {request.path}: {message}",
                passes=response.status >= 500 or response.status == 429,
            )
        return content


def _multipart(service: BatchService, lines: bytes) -> tuple[str, bytes]:
    """Return the content type and the body of an upload (RFC 7578)."""
    boundary = f"turnout-{secrets.token_hex(16)}"
    fields = {"purpose": service.purpose} | ({"file_name": FILE_NAME} if service.names_file else {})
    head = "".join(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    head += (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{FILE_NAME}"\r\n'
        "Content-Type: application/jsonl\r\n\r\n"
    )
    return f"multipart/form-data; boundary={boundary}", head.encode() + lines + f"\r\n--{boundary}--\r\n".encode()


def _message(content: bytes, sent: HttpRequest) -> str:
    """Return the message of an error, without the credentials of the request that it may repeat."""
    try:
        error = json.loads(content).get("error")
    except (ValueError, AttributeError):
        return ""
    text = str(error.get("message", "") if isinstance(error, dict) else error or "")
    redact = Redactor(secret for field in sent.headers for secret in secrets_of_header(*field))
    return escape_controls(redact(text)[:500])
