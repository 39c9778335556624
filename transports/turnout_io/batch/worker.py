"""The work on one row on every driver, except the call itself."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias

import attrs

from turnout._utils.caches import cached_if_short
from turnout.batch.failures import Problem, problem_of
from turnout.batch.output import Answered, RowFailure
from turnout.batch.plan import BatchPlan
from turnout.batch.requests import Inbound, ModelWithout, answer_of, lost_field, read_request
from turnout.batch.rows import BatchRow
from turnout.chat import ChatResponse, ModelConfig
from turnout.embeddings import EmbeddingRequest, EmbeddingResponse
from turnout.errors import TurnoutError
from turnout.prices import by_model
from turnout.routing.call.operations import Chat, Embed, Operation
from turnout.routing.call.options import CallOptions
from turnout.routing.policy.estimate import completion_tokens, embedding_tokens, prompt_tokens
from turnout.routing.policy.settings import Policy
from turnout.serving import RequestRejected
from turnout.serving.errors import invalid_request

__all__ = ["Call", "Sink", "Worker", "batch_options", "estimate", "read_row"]

Sink: TypeAlias = Callable[[BatchRow, Answered | RowFailure], None]


@attrs.frozen
class Call:
    """A row on its way.

    Attributes:
        row: The row.
        inbound: Its request.
        started: Monotonic seconds.
    """

    row: BatchRow
    inbound: Inbound
    started: float

    @property
    def operation(self) -> Operation:
        """What the router runs for this row."""
        request = self.inbound.request
        return Embed(request) if isinstance(request, EmbeddingRequest) else Chat(request)


@attrs.define(eq=False)
class Worker:
    """Turns rows into calls, and responses or errors into outcomes.

    Attributes:
        plan: Decides the next step.
        sink: Takes each outcome that is to be kept.
        models: What answers every row, in place of the rows' own models; () for those.
        options: The settings of every call, which are checked once for all rows.
        model_without: Finds a model that would not receive a field.
    """

    plan: BatchPlan
    sink: Sink
    models: tuple[ModelConfig, ...]
    options: CallOptions
    model_without: ModelWithout
    rng: random.Random = attrs.field(factory=random.Random)

    def prepare(self, row: BatchRow, now: float) -> Call | None:
        """Return the call of a row; None if it can never be one, which has been written down then."""
        try:
            inbound = read_row(row, self.models)
            path, reason = lost_field(inbound, self.model_without)
            if path:
                raise invalid_request(f"{path}: {reason}", path, "unsupported_parameter")
            return Call(row, inbound, now)
        except RequestRejected as error:
            failure = RowFailure(code="invalid-request", message=error.error.message, temporary=False)
            self._write(row, self.plan.failed_row(row, Problem(failure=failure), now))
            return None

    def ended(self, call: Call, response: ChatResponse | EmbeddingResponse | None, now: float) -> None:
        """Keep an answer; None leaves the row for the next run, because the call was to wait no more."""
        if response is None:
            self.plan.abandoned(call.row)
            return
        try:
            answer = answer_of(
                call.row,
                call.inbound,
                response,
                answer_id=f"{self.rng.getrandbits(96):024x}",
                created=int(time.time()),
                seconds=now - call.started,
            )
        except RequestRejected as error:
            failure = RowFailure(code="unsupported", message=error.error.message, temporary=False)
            self._write(call.row, self.plan.failed_row(call.row, Problem(failure=failure), now))
            return
        self.plan.answered(call.row, answer, now)
        self.sink(call.row, answer)

    def failed(self, call: Call, error: TurnoutError, now: float) -> None:
        """Keep a failure, or let the row wait for another turn."""
        model = self.models[0] if self.models else call.inbound.request.model
        problem = problem_of(error, model=str(model), seconds=now - call.started)
        self._write(call.row, self.plan.failed_row(call.row, problem, now))

    def worst_cost(self, row: BatchRow) -> float:
        """Return the highest possible cost of one attempt of a row. 0 for a row that is no valid request.

        Raises:
            ValueError: If the price of its model is not known.
        """
        policy = self.options.policy
        assert policy is not None
        try:
            _, _, worst = estimate(row, self.models, policy)
        except RequestRejected:
            return 0.0
        if worst is None:
            raise ValueError(
                f"the price of a model of row {row.custom_id!r} is not known, so max_cost cannot be kept: set `prices` "
                'of the router or of its configuration, or use the price list of pip install "turnout[prices]"'
            )
        return worst

    def _write(self, row: BatchRow, outcome: RowFailure | None) -> None:
        if outcome is not None:
            self.sink(row, outcome)


def estimate(row: BatchRow, models: tuple[ModelConfig, ...], policy: Policy) -> tuple[int, int, float | None]:
    """Return the tokens of a row's prompt and of its longest answer, and their highest cost; None if unknown.

    Args:
        row: The row.
        models: What answers every row; () for the row's own model.
        policy: The router's policy, for its prices.

    Raises:
        RequestRejected: If the row is no valid request.
    """
    request = read_row(row, models).request
    if isinstance(request, EmbeddingRequest):
        prompt, completion = embedding_tokens(request.input), 0
    else:
        prompt, completion = prompt_tokens(request), completion_tokens(request.model)
    prices = [by_model(policy.prices, model) for model in (request.model, *request.fallbacks)]
    costs = [price.at_most(prompt, completion) for price in prices if price is not None]
    return prompt, completion, max(costs) if len(costs) == len(prices) else None


def read_row(row: BatchRow, models: tuple[ModelConfig, ...]) -> Inbound:
    """Return the request of a row.

    Raises:
        RequestRejected: If the row is no valid request.
    """

    def resolve(name: str) -> tuple[ModelConfig, ...]:
        if models:
            return models
        try:
            return (_model_of(name),)
        except ValueError as error:
            raise invalid_request(f"{error}; or name a model for all rows", "model", "model_not_found") from None

    return read_request(row, resolve, model=str(models[0]) if models else "")


@cached_if_short(256, 1000)
def _model_of(name: str) -> ModelConfig:
    """Return the model of a name. Most rows of a batch have the same one."""
    return ModelConfig.parse(name)


def batch_options(policy: Policy, *, timeout: float | None, patience: float) -> CallOptions:
    """Return the settings of a batch's calls: they wait for limits, and each attempt is bounded.

    Args:
        policy: The router's.
        timeout: Seconds for one attempt; None for the router's own deadline of a call.
        patience: Seconds for which a row may wait.
    """
    changes: dict[str, Any] = {
        "when_at_capacity": "wait",
        "when_all_in_cooldown": "wait",
        "timeout": max(policy.timeout, patience),
        "attempt_timeout": timeout or policy.attempt_timeout or policy.timeout,
    }
    return CallOptions(policy=attrs.evolve(policy, **changes), priority="batch")
