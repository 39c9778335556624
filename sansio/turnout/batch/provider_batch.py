"""One part of a batch at a provider with OpenAI's batch API, without I/O.

    made -> uploaded -> created -> ended -> fetched

The driver sends `next_request`, gives the reply to `receive`, and writes the returned record to a journal before
the next request. A batch has the random name of its part in its metadata. If a process dies between the request
that creates a batch and its record, the next process searches the provider's batches for the name, and creates no
second one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs
import msgspec

from turnout.batch.output import Answered, RowFailure
from turnout.errors import TurnoutError

__all__ = ["MOST_BYTES", "MOST_ROWS", "ApiRequest", "ProviderBatch", "ProviderBatchError", "Stage", "read_results"]

MOST_ROWS: Final = 50_000
MOST_BYTES: Final = 190_000_000
"""OpenAI's limits of a file are 50,000 requests and 200 MB."""

MARK: Final = "turnout_job"
_ENDED: Final = frozenset(("completed", "failed", "expired", "cancelled"))
_PASSING: Final = frozenset((408, 409, 425, 429))

Record: TypeAlias = "dict[str, Any]"


class ProviderBatchError(TurnoutError):
    """A batch at the provider cannot go on. The same command resumes it."""


class Stage(enum.Enum):
    """How far a part is."""

    MADE = "made"
    UPLOADED = "uploaded"
    CREATED = "created"
    ENDED = "ended"
    FETCHED = "fetched"


@attrs.frozen(kw_only=True)
class ApiRequest:
    """A request to the batch API.

    Attributes:
        kind: Its purpose. A "poll" waits before it is sent.
        method: The HTTP method.
        path: Below the provider's base URL.
        body: The fields of a JSON body; None for none, or for the upload of the part's file.
    """

    kind: Literal["find", "upload", "create", "poll", "fetch"]
    method: Literal["GET", "POST"]
    path: str
    body: Mapping[str, Any] | None = None


@attrs.define(eq=False)
class ProviderBatch:
    """One part.

    Attributes:
        name: A random name, which no other part has.
        endpoint: The path of all its requests, such as `/v1/chat/completions`.
        stage: How far it is.
        searched: True if the provider has no batch with this name, as far as is known.
        file_id: The provider's name of the uploaded file.
        batch_id: The provider's name of the batch.
        status: The provider's status of the batch.
        results: The provider's names of the files with results that were not fetched yet.
    """

    name: str
    endpoint: str
    stage: Stage = Stage.MADE
    searched: bool = True
    file_id: str = ""
    batch_id: str = ""
    status: str = ""
    results: list[str] = attrs.field(factory=list)
    _page: str = attrs.field(default="", init=False)

    @classmethod
    def restore(cls, records: Iterable[Mapping[str, Any]]) -> ProviderBatch:
        """Return the part that these records of a journal describe. The first one is that of the stage "made"."""
        first, *others = records
        batch = cls(str(first["name"]), str(first["endpoint"]), searched=False)
        for record in others:
            batch.stage = Stage(record["stage"])
            batch.file_id = str(record.get("file_id", batch.file_id))
            batch.batch_id = str(record.get("batch_id", batch.batch_id))
            batch.status = str(record.get("status", batch.status))
            batch.results = list(record.get("results", batch.results))
        return batch

    def record(self) -> Record:
        """Return the record of the present stage."""
        return {
            "name": self.name,
            "endpoint": self.endpoint,
            "stage": self.stage.value,
            "file_id": self.file_id,
            "batch_id": self.batch_id,
            "status": self.status,
            "results": self.results,
        }

    def next_request(self) -> ApiRequest | None:
        """Return the next request; None if all results are fetched."""
        match self.stage:
            case Stage.MADE | Stage.UPLOADED if not self.searched:
                after = f"&after={self._page}" if self._page else ""
                return ApiRequest(kind="find", method="GET", path=f"/batches?limit=100{after}")
            case Stage.MADE:
                return ApiRequest(kind="upload", method="POST", path="/files")
            case Stage.UPLOADED:
                body = {
                    "input_file_id": self.file_id,
                    "endpoint": self.endpoint,
                    "completion_window": "24h",
                    "metadata": {MARK: self.name},
                }
                return ApiRequest(kind="create", method="POST", path="/batches", body=body)
            case Stage.CREATED:
                return ApiRequest(kind="poll", method="GET", path=f"/batches/{self.batch_id}")
            case Stage.ENDED if self.results:
                return ApiRequest(kind="fetch", method="GET", path=f"/files/{self.results[0]}/content")
            case _:
                return None

    def receive(self, request: ApiRequest, reply: Mapping[str, Any]) -> Record | None:
        """Apply the reply to a request that is not a fetch.

        Returns:
            The record for the journal, if the stage has changed.

        Raises:
            ProviderBatchError: If the reply is not one of the batch API.
        """
        before = self.stage
        match request.kind:
            case "find":
                self._find(reply)
            case "upload":
                self.file_id, self.stage = _text(reply, "id"), Stage.UPLOADED
            case "create":
                self.batch_id, self.stage = _text(reply, "id"), Stage.CREATED
            case _:
                self._poll(reply)
        return self.record() if self.stage is not before else None

    def fetched(self) -> None:
        """Note that the first file of results was read and its rows were written."""
        self.results.pop(0)

    def end(self) -> Record:
        """Note that every row has its result, and return the record for the journal."""
        self.stage = Stage.FETCHED
        return self.record()

    def _find(self, reply: Mapping[str, Any]) -> None:
        batches = reply.get("data")
        if not isinstance(batches, list):
            raise ProviderBatchError("the list of batches has no `data`")
        for batch in batches:
            metadata = batch.get("metadata") if isinstance(batch, dict) else None
            if isinstance(metadata, dict) and metadata.get(MARK) == self.name:
                self.batch_id, self.stage = _text(batch, "id"), Stage.CREATED
                return
        last = batches[-1].get("id") if batches and isinstance(batches[-1], dict) else None
        if reply.get("has_more") and isinstance(last, str) and last != self._page:
            self._page = last
        else:
            self.searched = True

    def _poll(self, reply: Mapping[str, Any]) -> None:
        self.status = _text(reply, "status")
        if self.status in _ENDED:
            names = (reply.get("output_file_id"), reply.get("error_file_id"))
            self.results = [name for name in names if isinstance(name, str) and name]
            self.stage = Stage.ENDED


def _text(reply: Mapping[str, Any], name: str) -> str:
    value = reply.get(name)
    if not isinstance(value, str) or not value:
        raise ProviderBatchError(f"the reply of the batch API has no {name!r}")
    return value


class _ResultResponse(msgspec.Struct):
    status_code: int
    body: msgspec.Raw
    request_id: str | None = None


class _ResultError(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Result(msgspec.Struct):
    custom_id: str
    response: _ResultResponse | None = None
    error: _ResultError | None = None


class _ErrorBody(msgspec.Struct):
    error: _ResultError | None = None


def read_results(content: bytes, model: str) -> list[tuple[str, Answered | RowFailure]]:
    """Return the outcomes in a file of results, by custom_id.

    Args:
        content: Lines of OpenAI's output or error file.
        model: The model that answered, as provider/model.

    Raises:
        ProviderBatchError: If a line is no result.
    """
    try:
        results = msgspec.json.Decoder(_Result).decode_lines(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderBatchError(f"a file of results cannot be read: {error}") from None
    return [(result.custom_id, _outcome(result, model)) for result in results]


def _outcome(result: _Result, model: str) -> Answered | RowFailure:
    response, error = result.response, result.error
    if response is not None and response.status_code == 200 and error is None:
        return Answered(body=bytes(response.body), request_id=response.request_id or "", model=model)
    status = response.status_code if response is not None else None
    if error is None and response is not None:
        try:
            error = msgspec.json.decode(response.body, type=_ErrorBody).error
        except msgspec.MsgspecError:
            error = None
    return RowFailure(
        code=(error.code if error is not None else None) or (f"status-{status}" if status is not None else "expired"),
        message=(error.message if error is not None else None) or "the provider's batch has no answer for this row",
        temporary=status is None or status >= 500 or status in _PASSING,
        status=status,
        model=model,
        attempts=1,
    )
