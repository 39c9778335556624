"""What calls cost: admission before a call, and the record of it afterwards."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import attrs
import trio

from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.prices import Price, by_model
from turnout.redaction import escape_controls
from turnout.routing.policy.estimate import completion_tokens, embedding_tokens, prompt_tokens
from turnout.serving import RequestRejected, ServedError
from turnout.trace import Trace
from turnout.trace.entries import CandidateBlocked, Failed, Skipped, Started
from turnout_io.serve.budget_file import BudgetFile
from turnout_io.serve.keys import Admission, Client, Undecided
from turnout_io.serve.metrics import GatewayMetrics
from turnout_io.serve.served_call import ServedCall

__all__ = ["Accounts", "StoreAccess"]

# Seconds between two checks if the store has granted the needs of a call.
_POLL: Final = 0.01
LOG: Final = logging.getLogger("turnout.serve")
# Paths that metrics name; all others are one.
_PATHS: Final = frozenset(
    ("/chat/completions", "/responses", "/messages", "/messages/count_tokens", "/embeddings", "/models", "/health",
     "/ready", "/metrics")
)  # fmt: skip


@attrs.frozen
class StoreAccess:
    """The part of the router's link to the store that the accounts need.

    Args:
        wake: Sends all due operations to the store.
        changes: Counts the answers of the store so far.
        now: Returns monotonic seconds of the clock by which leases end: the router's, which is not trio's.
    """

    wake: Callable[[], None]
    changes: Callable[[], int]
    now: Callable[[], float]


@attrs.define(eq=False)
class Accounts:
    """Admits calls, and records their usage.

    Args:
        prices: The prices of models, for the reservation of budgets.
        candidates: Returns the models of providers that names mean.
        metrics: All counts.
        budget_file: Remembers what keys have spent, None if nothing must be remembered.
        store: How the shared limits of keys reach the store; None if nothing is shared.
    """

    prices: Mapping[str, Price]
    candidates: Callable[[Iterable[ModelConfig]], Iterable[ModelConfig]]
    metrics: GatewayMetrics = attrs.field(factory=GatewayMetrics)
    budget_file: BudgetFile | None = None
    store: StoreAccess | None = None

    async def admit(self, client: Client, request: ChatRequest | EmbeddingRequest | None) -> Admission:
        """Count a call against the limits and the budget of its key. Shared ones may have to wait for the store.

        Args:
            client: The key.
            request: The call; None for one that uses no tokens and costs nothing.

        Raises:
            RequestRejected: A limit or the budget is reached.
        """
        if client.settings is None:
            return client.admit(0, (), 0.0, 0.0)
        if request is None:
            prompt, completion = 0, 0
        elif isinstance(request, ChatRequest):
            prompt, completion = prompt_tokens(request), completion_tokens(request.model)
        else:
            prompt, completion = embedding_tokens(request.input), 0
        costs: Sequence[float] = (0.0,)
        if client.account is not None and request is not None:
            costs = self._costs(request, prompt)
        tokens = prompt + completion
        if self.store is None:
            return client.admit(tokens, costs, trio.current_time(), time.time())
        now = self.store.now()
        until = math.inf
        while True:
            changes = self.store.changes()
            try:
                return client.admit(tokens, costs, now, time.time(), patient=now < until)
            except Undecided as undecided:
                if now >= until:
                    raise undecided.rejection from None
                until = min(until, undecided.until)
            finally:
                self.store.wake()
            while self.store.changes() == changes and now < until:
                await trio.sleep(_POLL)
                now = self.store.now()

    def _costs(self, request: ChatRequest | EmbeddingRequest, prompt: int) -> list[float]:
        """Return the most that one attempt can cost with each candidate, the dearest first.

        Raises:
            RequestRejected: A model has no price, so that its cost would not count.
        """
        costs = set()
        for model in self.candidates((request.model, *request.fallbacks)):
            price = by_model(self.prices, model)
            if price is None:
                raise RequestRejected(_unpriced(model))
            completion = completion_tokens(model) if isinstance(request, ChatRequest) else 0
            costs.add(price.at_most(prompt, completion))
        return sorted(costs, reverse=True)

    def settle(self, call: ServedCall, admission: Admission) -> None:
        """Record the usage of a generation call, also if it failed or was cut."""
        usage, trace, client = call.usage, call.trace, admission.client
        tokens = usage.total_tokens if usage is not None else None
        if tokens is None and (trace is None or not trace.attempts):
            tokens = 0
        cost = trace.cost if trace is not None else None
        now = self.store.now() if self.store is not None else trio.current_time()
        counted = admission.settle(tokens, cost, now)
        if self.store is not None:
            self.store.wake()
        if self.budget_file is not None:
            # To the period that the reservation belongs to, also if the call has outlived it.
            self.budget_file.add(client, counted, admission.wall)
        metrics = self.metrics
        if usage is not None:
            for kind, count in (
                ("prompt", usage.prompt_tokens),
                ("completion", usage.completion_tokens),
                ("cached", usage.cached_tokens),
                ("reasoning", usage.reasoning_tokens),
            ):
                if count:
                    metrics.tokens.add(kind, client.name, amount=count)
        if cost:
            metrics.cost.add(client.name, amount=cost)
        metrics.total.observe(trio.current_time() - call.started_at)
        if call.first_content_at is not None:
            metrics.first_content.observe(call.first_content_at - call.started_at)
        if trace is not None:
            metrics.calls(trace)

    def log(self, call: ServedCall, status: int) -> None:
        """Write one line for a request, without prompts and keys."""
        client = call.client.name if call.client is not None else "-"
        path = call.path if call.path in _PATHS else "other"
        self.metrics.requests.add(path, str(status), client)
        if call.cause is not None:
            # The full text of an error stays here: the client receives less.
            LOG.warning("%s %s: %s", call.request_id, type(call.cause).__name__, _one_line(str(call.cause)))
        if not LOG.isEnabledFor(logging.INFO):
            return
        prefix = "" if call.path in ("/health", "/ready", "/metrics") else "/v1"
        fields = [f"{_one_line(f'{call.request.head.method} {prefix}{call.path}')} {status}", f"key={client}"]
        if call.model_name:
            fields.append(f"model={_one_line(call.model_name)}")
        if call.answered:
            fields.append(f"answered={_one_line(call.answered)}")
        if call.error is not None:
            fields.append(f"error={call.error.code}")
            if call.error.bound:
                fields.append(f"bound={call.error.bound}")
        if call.trace is not None:
            fields.append(f"attempts={call.trace.attempts}")
            fields += [f'passed="{_one_line(text)}"' for text in _passed_over(call.trace, call.answered)]
            if call.trace.cost is not None:
                fields.append(f"cost={call.trace.cost:.6g}")
        if call.usage is not None and call.usage.source != "absent":
            fields.append(f"tokens={call.usage.prompt_tokens or 0}+{call.usage.completion_tokens or 0}")
        if call.first_content_at is not None:
            fields.append(f"first={call.first_content_at - call.started_at:.3f}s")
        fields += [f"{trio.current_time() - call.started_at:.3f}s", f"id={_one_line(call.request_id)}"]
        LOG.info(" ".join(fields))


def _unpriced(model: ModelConfig) -> ServedError:
    return ServedError(
        status=403,
        type="permission_error",
        code="no_price",
        messages_type="permission_error",
        message=f"{model} has no price, and the key has a budget; the gateway's configuration must name its price",
    )


def _passed_over(trace: Trace, answered: str) -> list[str]:
    """Return each candidate that did not answer, with the last reason: it failed, or it was not tried."""
    reasons: dict[str, str] = {}
    started: dict[int, str] = {}
    for entry in trace.entries:
        match entry:
            case Started():
                started[entry.attempt] = entry.candidate
            case Failed():
                reasons[started.get(entry.attempt, "")] = str(entry.failure)
            case CandidateBlocked() | Skipped():
                reasons[entry.candidate] = entry.reason
    return [f"{candidate}: {reason}" for candidate, reason in reasons.items() if candidate != answered]


def _one_line(text: str) -> str:
    """Return a short text that cannot begin a line of the log, nor change a terminal that shows it."""
    return escape_controls(" ".join(text[:1000].split()))[:500]
