"""One part of a batch at a provider with OpenAI's batch API, without I/O.

    made -> uploaded -> created -> ended -> fetched

The driver sends `next_request`, gives the reply to `receive`, and writes the returned record to a journal before
the next request. If a process dies between the request that creates a batch and its record, the next process searches
the provider's batches for the uploaded file, and creates no second one.

The forms of each provider are those of its own SDK and reference, which were read in these versions:

- OpenAI: openai 3.57.0.
- Groq: groq 1.7.0 (`resources/batches.py`, `types/batch_create_params.py`): OpenAI's form, below `/openai/v1`.
- Together: together 3.1.1 (`types/batch_job.py`: states in capitals, `error` is a text; the reply to a creation
  is inside `job`; the list of batches is an array), and the OpenAPI document 2.0.0 of docs.together.ai, "Upload a
  file": one multipart request to `/files/upload`. The SDK uploads with a redirect to a store, in three requests.
- Z.ai: zai-sdk 0.2.3 (`api_resource/batch`, `types/batch/batch.py`), and docs.bigmodel.cn, "Create a batch", which
  names the endpoint `/v4/chat/completions`; the SDK has OpenAI's text in that place.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

import attrs
import msgspec

from turnout.batch.output import Answered, RowFailure
from turnout.batch.rows import BatchInputError, BatchRow, Endpoint
from turnout.chat import ModelConfig
from turnout.errors import TurnoutError

__all__ = [
    "BATCH_SERVICES",
    "MOST_ROWS",
    "ApiRequest",
    "BatchService",
    "PartRow",
    "ProviderBatch",
    "ProviderBatchError",
    "Stage",
    "part_row",
    "read_part",
    "read_results",
]

MOST_ROWS: Final = 50_000
"""The limit of a file, at OpenAI and at the others."""

MARK: Final = "turnout_job"
"""The field of a batch's metadata with the name of its part, for people who look at the provider's list."""

_ENDED: Final = frozenset(("completed", "failed", "expired", "cancelled"))
_PASSING: Final = frozenset((408, 409, 425, 429))

Record: TypeAlias = "dict[str, Any]"


@attrs.frozen(kw_only=True)
class BatchService:
    """The batch API of one provider, as far as it differs from OpenAI's.

    Attributes:
        endpoints: The path of each kind of request that a batch can have.
        upload: The path for uploads.
        purpose: The purpose of an uploaded file.
        names_file: True if an upload has a field with the name of the file.
        creation: More fields of the request that creates a batch.
        has_metadata: True if a batch can have metadata.
        most_bytes: The size of a file, a little below the provider's limit.
        longest_id: Characters of a `custom_id`; None if there is no limit.
    """

    endpoints: Mapping[Endpoint, str]
    upload: str = "/files"
    purpose: str = "batch"
    names_file: bool = False
    creation: Mapping[str, Any] = attrs.field(factory=lambda: {"completion_window": "24h"})
    has_metadata: bool = True
    most_bytes: int = 95_000_000
    longest_id: int | None = None


_CHAT: Final[dict[Endpoint, str]] = {"chat/completions": "/v1/chat/completions"}

BATCH_SERVICES: Final[Mapping[str, BatchService]] = {
    "openai": BatchService(
        endpoints={**_CHAT, "responses": "/v1/responses", "embeddings": "/v1/embeddings"}, most_bytes=190_000_000
    ),
    "groq": BatchService(endpoints=_CHAT),
    "together": BatchService(
        endpoints=_CHAT,
        upload="/files/upload",
        purpose="batch-api",
        names_file=True,
        has_metadata=False,
        longest_id=64,
    ),
    "zai": BatchService(endpoints={"chat/completions": "/v4/chat/completions"}, creation={}),
}


class PartRow(msgspec.Struct, omit_defaults=True):
    """One row of a part, as the file beside the output has it.

    Attributes:
        line: The line for the provider.
        key: See `BatchRow`.
        print: See `BatchRow`.
        model: The model that answers, as provider/model.
        kept: See `BatchRow`.
    """

    custom_id: str
    endpoint: Endpoint
    line: msgspec.Raw
    key: str
    print: int
    model: str
    kept: dict[str, Any] = msgspec.field(default_factory=dict)

    def row(self) -> BatchRow:
        """Return the row without its body."""
        return BatchRow(self.custom_id, self.endpoint, {}, self.key, self.print, self.kept)


def part_row(row: BatchRow, model: ModelConfig) -> PartRow:
    """Return a row of a part.

    Raises:
        BatchInputError: If the batch API of the provider cannot answer it.
    """
    service = BATCH_SERVICES.get(model.provider) if not model.is_route else None
    if service is None:
        known = ", ".join(BATCH_SERVICES)
        raise BatchInputError(f"line {row.line}: --via provider needs a model of {known}, not {model}")
    if row.endpoint not in service.endpoints:
        known = ", ".join(service.endpoints)
        raise BatchInputError(f"line {row.line}: the batch API of {model.provider} has {known}, not {row.endpoint}")
    if service.longest_id is not None and len(row.custom_id) > service.longest_id:
        raise BatchInputError(
            f"line {row.line}: the custom_id has {len(row.custom_id)} characters; "
            f"the batch API of {model.provider} takes at most {service.longest_id}"
        )
    # A batch has no streams.
    body = {name: value for name, value in row.body.items() if name not in ("stream", "stream_options")}
    line = {
        "custom_id": row.custom_id,
        "method": "POST",
        "url": service.endpoints[row.endpoint],
        "body": {**body, "model": model.model_id},
    }
    encoded = msgspec.Raw(msgspec.json.encode(line))
    return PartRow(row.custom_id, row.endpoint, encoded, row.key, row.print, str(model), row.kept)


def read_part(content: bytes) -> list[PartRow]:
    """Return the rows of a part.

    Raises:
        ProviderBatchError: If a line is no row.
    """
    try:
        return msgspec.json.Decoder(PartRow).decode_lines(content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProviderBatchError(f"the file of a part cannot be read: {error}") from None


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
        provider: The provider.
        endpoint: The path of all its requests, such as `/v1/chat/completions`.
        stage: How far it is.
        searched: True if the provider has no batch with the uploaded file, as far as is known.
        file_id: The provider's name of the uploaded file.
        batch_id: The provider's name of the batch.
        status: The provider's status of the batch.
        problem: The provider's reason for a batch that failed.
        results: The provider's names of the files with results that were not fetched yet.
    """

    name: str
    provider: str
    endpoint: str
    stage: Stage = Stage.MADE
    searched: bool = True
    file_id: str = ""
    batch_id: str = ""
    status: str = ""
    problem: str = ""
    results: list[str] = attrs.field(factory=list)
    _page: str = attrs.field(default="", init=False)

    @classmethod
    def restore(cls, records: Iterable[Mapping[str, Any]]) -> ProviderBatch:
        """Return the part that these records of a journal describe. The first one is that of the stage "made"."""
        first, *others = records
        batch = cls(str(first["name"]), str(first["provider"]), str(first["endpoint"]), searched=False)
        for record in others:
            batch.stage = Stage(record["stage"])
            batch.file_id = str(record.get("file_id", batch.file_id))
            batch.batch_id = str(record.get("batch_id", batch.batch_id))
            batch.status = str(record.get("status", batch.status))
            batch.problem = str(record.get("problem", batch.problem))
            batch.results = list(record.get("results", batch.results))
        return batch

    @property
    def service(self) -> BatchService:
        """The batch API of its provider."""
        return BATCH_SERVICES[self.provider]

    def record(self) -> Record:
        """Return the record of the present stage."""
        return {
            "name": self.name,
            "provider": self.provider,
            "endpoint": self.endpoint,
            "stage": self.stage.value,
            "file_id": self.file_id,
            "batch_id": self.batch_id,
            "status": self.status,
            "problem": self.problem,
            "results": self.results,
        }

    def next_request(self) -> ApiRequest | None:
        """Return the next request; None if all results are fetched."""
        service = self.service
        match self.stage:
            case Stage.MADE:
                return ApiRequest(kind="upload", method="POST", path=service.upload)
            case Stage.UPLOADED if not self.searched:
                after = f"&after={self._page}" if self._page else ""
                return ApiRequest(kind="find", method="GET", path=f"/batches?limit=100{after}")
            case Stage.UPLOADED:
                body = {"input_file_id": self.file_id, "endpoint": self.endpoint, **service.creation}
                if service.has_metadata:
                    body["metadata"] = {MARK: self.name}
                return ApiRequest(kind="create", method="POST", path="/batches", body=body)
            case Stage.CREATED:
                return ApiRequest(kind="poll", method="GET", path=f"/batches/{self.batch_id}")
            case Stage.ENDED if self.results:
                return ApiRequest(kind="fetch", method="GET", path=f"/files/{self.results[0]}/content")
            case _:
                return None

    def receive(self, request: ApiRequest, reply: Any) -> Record | None:
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
                # No batch can have a file that is new.
                self.file_id, self.stage, self.searched = _text(reply, "id"), Stage.UPLOADED, True
            case "create":
                job = reply.get("job", reply) if isinstance(reply, dict) else reply
                self.batch_id, self.stage = _text(job, "id"), Stage.CREATED
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

    def _find(self, reply: Any) -> None:
        batches = reply.get("data") if isinstance(reply, dict) else reply
        if not isinstance(batches, list):
            raise ProviderBatchError("the list of batches has no `data`")
        for batch in batches:
            if isinstance(batch, dict) and batch.get("input_file_id") == self.file_id:
                self.batch_id, self.stage = _text(batch, "id"), Stage.CREATED
                return
        last = batches[-1].get("id") if batches and isinstance(batches[-1], dict) else None
        has_more = isinstance(reply, dict) and reply.get("has_more")
        if has_more and isinstance(last, str) and last != self._page:
            self._page = last
        else:
            self.searched = True

    def _poll(self, reply: Any) -> None:
        self.status = _text(reply, "status").lower()
        if self.status in _ENDED:
            names = (reply.get("output_file_id"), reply.get("error_file_id"))
            self.results = [name for name in names if isinstance(name, str) and name]
            self.problem = _problem(reply)
            self.stage = Stage.ENDED


def _text(reply: Any, name: str) -> str:
    value = reply.get(name) if isinstance(reply, dict) else None
    if not isinstance(value, str) or not value:
        raise ProviderBatchError(f"the reply of the batch API has no {name!r}")
    return value


def _problem(batch: Mapping[str, Any]) -> str:
    """Return why a batch failed: OpenAI has a list of errors, Together a text."""
    if isinstance(text := batch.get("error"), str):
        return text[:500]
    errors = batch.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    messages = [error.get("message") for error in data if isinstance(error, dict)] if isinstance(data, list) else []
    return "; ".join(str(message) for message in messages[:3] if message)[:500]


class _ResultResponse(msgspec.Struct):
    status_code: int
    body: msgspec.Raw
    request_id: str | None = None


class _ResultError(msgspec.Struct):
    code: str | int | None = None
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
        code=(str(error.code or "") if error is not None else "")
        or (f"status-{status}" if status is not None else "expired"),
        message=(error.message if error is not None else None) or "the provider's batch has no answer for this row",
        temporary=status is None or status >= 500 or status in _PASSING,
        status=status,
        model=model,
        attempts=1,
    )
