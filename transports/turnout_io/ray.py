"""Answers the rows of a Ray dataset: `ask_rows(dataset, ...)`. The extra is `turnout[ray]`.

    answers = ask_rows(dataset, config="turnout.yaml", model="openai/gpt-4o-mini", journal="/shared/job-7")

Each actor has an asyncio router. A row that fails is a row with an error, never an exception of the job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec

from turnout.batch.output import Answered, RowFailure
from turnout.batch.rows import BatchInputError, BatchRow, RowReader
from turnout.chat import ModelConfig
from turnout.errors import TurnoutError
from turnout_io.asyncio import Router
from turnout_io.batch.files import describe_models
from turnout_io.batch.journal import Journal, JournalEntry
from turnout_io.batch.run import run

__all__ = ["AskRouter", "BatchSetupError", "Dataset", "ask_rows"]

_REQUEST: Final = ("custom_id", "url", "body", "prompt", "messages", "model")
# Ray runs this number of batches of one actor at once.
_BATCHES_AT_ONCE: Final = 4


class Dataset(Protocol):
    """What `ask_rows` needs of `ray.data.Dataset`."""

    def map_batches(self, fn: Any, /, **options: Any) -> Any:
        """Return the dataset with `fn` applied to its batches."""
        ...


class BatchSetupError(TurnoutError):
    """Every row fails for a reason that is not in the row, such as a wrong key."""


class AskRouter:
    """The class for `Dataset.map_batches`.

    A batch needs one of the columns `prompt` (text), `messages` (a list, or JSON) and `body` (a request, or JSON, with
    the column `url`), and may have `custom_id` and `model`. The result also has the columns `response` (JSON of the
    answer), `error` (text, "" for none), `model`, `cost` and `attempts`.

    Rows without `custom_id` are known by their content, so equal rows get one answer if there is a journal.
    """

    def __init__(
        self,
        *,
        config: str | None = None,
        environ: Mapping[str, str] | None = None,
        model: str | Sequence[str] = (),
        concurrency: int = 100,
        journal: str | None = None,
        timeout: float | None = None,
        patience: float = 3600.0,
        **policy: Any,
    ) -> None:
        """Make the router of an actor. It connects to a shared store with its first batch.

        Args:
            config: A configuration file, which every machine must have; None takes keys from the environment.
            environ: Variables in place of the actor's environment.
            model: A model or a route (`route/NAME`) for all rows, and its fallbacks; () uses the column `model`.
            concurrency: Calls of this actor at once.
            journal: A folder that all actors see. A row that was answered is then not sent again, in this job or the
                next one. Without it, a killed actor repeats its batches.
            timeout: Seconds for one attempt.
            patience: Seconds for which a row may meet nothing but limits.
            **policy: Fields of `Policy`, such as `limits`.
        """
        made: dict[str, Any] = {"environ": environ, "max_concurrency": concurrency, **policy}
        self._router = Router.from_config(config, **made) if config else Router.from_env(**made)
        names = [model] if isinstance(model, str) else model
        self._models = [ModelConfig.parse(name) for name in names]
        self._settings = describe_models(self._router, self._models)
        self._concurrency = concurrency
        self._journal = Journal.open(journal) if journal is not None else None
        self._timeout, self._patience = timeout, patience
        self._entered = False

    async def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the batch with the answers of its rows.

        Raises:
            BatchSetupError: If all rows fail because of a wrong key or a missing provider.
            BatchInputError: If a row is not a request.
        """
        if not self._entered:
            self._entered = True
            await self._router.__aenter__()
        rows = _rows_of(batch, self._settings)
        outcomes: dict[BatchRow, Answered | RowFailure | JournalEntry] = {}
        journal = self._journal
        if journal is not None:
            journal.refresh()
            for row in rows:
                entry = journal.find(row)
                if entry is not None:
                    outcomes[row] = entry

        def keep(row: BatchRow, outcome: Answered | RowFailure) -> None:
            outcomes[row] = outcome
            if journal is not None:
                journal.write(row, outcome)

        todo = [row for row in rows if row not in outcomes]
        if todo:
            summary = await run(
                self._router,
                todo,
                keep,
                concurrency=min(len(todo), self._concurrency),
                models=self._models,
                timeout=self._timeout,
                patience=self._patience,
            )
            if summary.stopped == "setup":
                failures = [outcome for outcome in outcomes.values() if isinstance(outcome, RowFailure)]
                raise BatchSetupError(failures[-1].message if failures else "no row can be answered")
        return {**batch, **_columns([outcomes[row] for row in rows])}


def ask_rows(
    dataset: Dataset,
    *,
    actors: int = 2,
    concurrency: int = 100,
    batch_size: int = 100,
    num_cpus: float = 0.5,
    **arguments: Any,
) -> Any:
    """Return the dataset with the answers of its rows.

    Args:
        dataset: See `AskRouter` for the columns.
        actors: Actors, each with a router. Give the router a shared store if they must keep one limit.
        concurrency: Calls at once of each actor.
        batch_size: Rows of a batch. An actor has 4 batches at once, so make it at least a quarter of `concurrency`.
        num_cpus: Of each actor.
        **arguments: The other arguments of `AskRouter`.
    """
    return dataset.map_batches(
        AskRouter,
        fn_constructor_kwargs={"concurrency": concurrency, **arguments},
        batch_size=batch_size,
        concurrency=actors,
        num_cpus=num_cpus,
    )


def _rows_of(batch: Mapping[str, Any], settings: str) -> list[BatchRow]:
    """Return the rows of a batch of columns."""
    columns = {name: _listed(batch[name]) for name in _REQUEST if name in batch}
    count = max((len(values) for values in columns.values()), default=0)
    rows = []
    for index in range(count):
        fields = {name: values[index] for name, values in columns.items() if values[index] is not None}
        for name in ("body", "messages"):
            value = fields.get(name)
            if isinstance(value, str | bytes):
                try:
                    fields[name] = msgspec.json.decode(value)
                except msgspec.DecodeError as error:
                    raise BatchInputError(f"row {index} of a batch: {name} is not JSON: {error}") from None
        # A new reader for each row, so that equal rows have one identity, in whichever batch they are.
        rows.append(RowReader(settings).row(msgspec.json.encode(fields, enc_hook=_plain), index))
    return rows


def _listed(column: Any) -> list[Any]:
    return list(column.tolist() if hasattr(column, "tolist") else column)


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):  # of numpy
        return value.tolist()
    raise TypeError(f"a row cannot hold {type(value).__name__}")


def _columns(outcomes: Sequence[Answered | RowFailure | JournalEntry]) -> dict[str, Any]:
    """Return the columns of the answers. Their types are the same for every batch, also for an empty one."""
    import numpy

    values = [_values(outcome) for outcome in outcomes]
    types: dict[str, Any] = {"response": object, "error": object, "model": object, "cost": "f8", "attempts": "i8"}
    return {
        name: numpy.array([value[index] for value in values], dtype=kind)
        for index, (name, kind) in enumerate(types.items())
    }


def _values(outcome: Answered | RowFailure | JournalEntry) -> tuple[str, str, str, float, int]:
    """Return the response, the error, the model, the cost and the attempts of a row."""
    if isinstance(outcome, JournalEntry):
        own, response, error = outcome.turnout, "", ""
        if outcome.error is not None:
            error = f"{outcome.error.code}: {outcome.error.message}"
        elif outcome.response is not None:
            response = bytes(outcome.response.body).decode()
        return response, error, own.model or "", _number(own.cost), own.attempts
    if isinstance(outcome, RowFailure):
        error = f"{outcome.code}: {outcome.message}"
        return "", error, outcome.model, _number(outcome.cost), outcome.attempts
    return outcome.body.decode(), "", outcome.model, _number(outcome.cost), outcome.attempts


def _number(cost: float | None) -> float:
    return math.nan if cost is None else cost
