"""The endpoints of the gateway: which paths there are, and what each of them answers."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final
from urllib.parse import unquote

import attrs

from turnout._utils.names import vendor_of
from turnout.chat import ChatRequest, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import TurnoutError
from turnout.routing.policy.estimate import prompt_tokens
from turnout.routing.policy.settings import Policy
from turnout.routing.state.budgets import BudgetStatus
from turnout.serving import (
    INTERNAL_ERROR,
    InboundChat,
    InboundEmbedding,
    ReadOptions,
    RequestRejected,
    Resolve,
    ServedError,
    build_embedding_response,
    build_model,
    build_models,
    build_token_count,
    read_embedding_request,
)
from turnout.serving.errors import invalid_request
from turnout_io.metrics import CONTENT_TYPE
from turnout_io.serve.accounts import Accounts
from turnout_io.serve.chat import JSON_HEADERS, ActiveStream, Deadlines, serve_stream, serve_whole
from turnout_io.serve.keys import Client, Keyring
from turnout_io.serve.names import ModelNames
from turnout_io.serve.served_call import MESSAGES, ServedCall
from turnout_io.serve.settings import GatewaySettings
from turnout_io.trio import Router

__all__ = ["Endpoints", "GatewayState", "canonical_path", "no_capacity"]

# Seconds for the exact count of a prompt's tokens, before an estimate is good enough.
_COUNT_TIMEOUT: Final = 5.0
_TEXT: Final = [("content-type", CONTENT_TYPE)]
_SECONDS: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{0,9})?|\.[0-9]{1,9}")


@attrs.define(eq=False)
class GatewayState:
    """The activity of the gateway now.

    Args:
        stopping: True if it accepts no new connection.
        in_flight: Generation calls that are running.
        connections: Open connections.
        started_at: Seconds since 1970.
    """

    stopping: bool = False
    in_flight: int = 0
    connections: int = 0
    started_at: int = attrs.field(factory=lambda: int(time.time()))


def canonical_path(path: str) -> str:
    """Return a path without `/v1`, which some SDKs add and others expect in the base URL."""
    path = path.rstrip("/")
    while path == "/v1" or path.startswith("/v1/"):
        path = path[3:]
    return path or "/"


def _missing(message: str, status: int = 404) -> RequestRejected:
    return RequestRejected(
        ServedError(
            status=status,
            type="invalid_request_error",
            code="not_found" if status == 404 else "method_not_allowed",
            messages_type="not_found_error",
            message=message,
        )
    )


def no_capacity(message: str) -> RequestRejected:
    """Return the error of a request that the gateway cannot take now, but soon."""
    return RequestRejected(
        ServedError(
            status=503,
            type="server_error",
            code="overloaded",
            messages_type="overloaded_error",
            message=message,
            retry_after=1.0,
            retryable=True,
        )
    )


_METRICS_NOT_ALLOWED: Final = ServedError(
    status=403,
    type="permission_error",
    code="metrics_not_allowed",
    messages_type="permission_error",
    message="this key may not read the metrics, which show all keys; serve.keys needs `metrics: true` for it",
)
# With a shared store, each gateway reports its own part of what is spent and reserved.
_BUDGET_GAUGES: Final[tuple[tuple[str, str, Callable[[BudgetStatus], float]], ...]] = (
    ("amount", "What a key may spend", lambda one: one.budget.amount),
    ("spent", "What a key has spent", lambda one: one.spent),
    ("reserved", "What running calls of a key have reserved", lambda one: one.reserved),
)

Endpoint = Callable[[ServedCall], Awaitable[None]]


@attrs.define(eq=False)
class Endpoints:
    """Answers requests.

    Args:
        router: Makes the calls to providers.
        settings: How the gateway serves.
        names: Finds models.
        keyring: Finds keys.
        accounts: Admits and records calls.
        state: The activity of the gateway.
        active: The streams that receive pings during a silence.
    """

    router: Router
    settings: GatewaySettings
    names: ModelNames
    keyring: Keyring
    accounts: Accounts
    state: GatewayState
    active: set[ActiveStream] = attrs.field(factory=set)
    _get: Mapping[str, Endpoint] = attrs.field(init=False)
    _post: Mapping[str, Endpoint] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._get = {"/health": self._health, "/ready": self._ready, "/metrics": self._metrics, "/models": self._models}
        self._post = {
            "/chat/completions": self._chat,
            "/responses": self._chat,
            "/messages": self._chat,
            "/messages/count_tokens": self._count_tokens,
            "/embeddings": self._embeddings,
        }

    async def answer(self, call: ServedCall) -> None:
        """Answer one request.

        Raises:
            TurnoutError: The request is rejected, or no provider could answer. Nothing was sent then.
        """
        if call.path not in ("/health", "/ready"):
            call.client = self.keyring.authenticate(call.request.head.headers)
        await self.find(call.path, call.request.head.method, call.responder.headers)(call)

    def find(self, path: str, method: str, headers: list[tuple[str, str]]) -> Endpoint:
        """Return the endpoint of a path.

        Args:
            path: Without `/v1`.
            method: The method of the request.
            headers: Of the response. It gets the methods that the path takes if this is another one.

        Raises:
            RequestRejected: There is no such path, or it takes another method.
        """
        if path.startswith("/models/") and method in ("GET", "HEAD"):
            return self._model
        allowed = self._get if path in self._get else self._post
        if path not in allowed:
            raise _missing(f"there is no {path[:200]} here")
        methods = ("GET", "HEAD") if allowed is self._get else ("POST",)
        if method not in methods:
            headers.append(("allow", ", ".join(methods)))
            raise _missing(f"{path} takes {' and '.join(methods)}, not {method[:20]}", 405)
        return allowed[path]

    # -- generation ---------------------------------------------------------------------------------------------

    def _resolve(self, call: ServedCall) -> Resolve:
        client = _client(call)

        def resolve(name: str) -> tuple[ModelConfig, ...]:
            call.model_name = name
            return self.names.resolve(name, client)

        return resolve

    def _options(self, call: ServedCall) -> ReadOptions:
        betas = (
            beta.strip() for value in call.request.head.headers.get_all("anthropic-beta") for beta in value.split(",")
        )
        return ReadOptions(ignore_unknown=self.settings.ignore_unknown, betas=tuple(beta for beta in betas if beta))

    def _check_required(self, inbound: InboundChat) -> None:
        """Reject a field that changes the answer if a candidate would not receive it."""
        models = (inbound.request.model, *inbound.request.fallbacks)
        for path in inbound.required:
            lacking = self.names.lacking(models, inbound.scoped[path])
            if lacking is not None:
                raise invalid_request(f"{path}: {lacking} does not take this field", path, "unsupported_parameter")

    def _begin(self) -> None:
        if self.state.stopping:
            raise no_capacity("this gateway stops; try again")
        bound = self.settings.max_in_flight
        if bound is not None and self.state.in_flight >= bound:
            raise no_capacity("this gateway is at its limit of calls; try again later")
        self.state.in_flight += 1

    async def _admitted(
        self, call: ServedCall, request: ChatRequest | EmbeddingRequest | None, run: Callable[[], Awaitable[None]]
    ) -> None:
        """Run a call of a provider within all limits, and record it."""
        admission = await self.accounts.admit(_client(call), request)
        if admission.max_cost is not None:
            # The budget of the key has no room for the dearest candidates.
            allowed = self.router.policy.max_cost
            call.policy = Policy(max_cost=min(admission.max_cost, allowed if allowed is not None else math.inf))
        try:
            self._begin()
            try:
                await run()
            finally:
                self.state.in_flight -= 1
        finally:
            self.accounts.settle(call, admission)

    async def _chat(self, call: ServedCall) -> None:
        inbound = call.dialect.read_request(call.request.body, self._resolve(call), self._options(call))
        self._check_required(inbound)
        deadlines = self._deadlines(call)
        if inbound.stream:
            run = partial(serve_stream, call, inbound, self.router, deadlines, self.active)
        else:
            run = partial(serve_whole, call, inbound, self.router, deadlines)
        await self._admitted(call, inbound.request, run)

    async def _embeddings(self, call: ServedCall) -> None:
        resolve, options = self._resolve(call), self._options(call)
        inbound = read_embedding_request(call.request.body, resolve, options, self.names.family)
        await self._admitted(call, inbound.request, partial(self._embed, call, inbound))

    async def _embed(self, call: ServedCall, inbound: InboundEmbedding) -> None:
        timeout = self._deadlines(call).timeout
        response = await self.router.embed(inbound.request, timeout=timeout, policy=call.policy, priority=call.priority)
        call.trace, call.usage, call.answered = response.trace, response.usage, str(response.model)
        headers = [*JSON_HEADERS, *call.headers(inbound.ignored)]
        await call.responder.send_whole(200, headers, build_embedding_response(inbound, response))

    async def _count_tokens(self, call: ServedCall) -> None:
        """Count the tokens of a prompt.

        To a provider it is a request, so it counts against the limits of requests. It uses no tokens and costs nothing.
        """
        inbound = MESSAGES.read_count_request(call.request.body, self._resolve(call), self._options(call))
        await self._admitted(call, None, partial(self._count, call, inbound))

    async def _count(self, call: ServedCall, inbound: InboundChat) -> None:
        """Answer with the provider's own count if it gives one, and otherwise with an estimate."""
        headers = [*JSON_HEADERS, *call.headers()]
        try:
            tokens = (await self.router.count_tokens(inbound.request, timeout=_COUNT_TIMEOUT)).prompt_tokens
        except TurnoutError:
            tokens = prompt_tokens(inbound.request)
            headers.append(("x-turnout-estimate", "true"))
        await call.responder.send_whole(200, headers, build_token_count(tokens))

    def _deadlines(self, call: ServedCall) -> Deadlines:
        return Deadlines(self._seconds(call, "x-turnout-timeout"), self._seconds(call, "x-turnout-total"))

    def _seconds(self, call: ServedCall, name: str) -> float | None:
        text = call.request.head.headers.get(name)
        if text is None:
            return None
        seconds = float(text) if _SECONDS.fullmatch(text.strip()) else 0.0
        if not 0 < seconds < math.inf:
            raise invalid_request(
                f"the header {name} must be a number of seconds, such as 30 or 2.5, not {text[:40]!r}", name
            )
        return min(seconds, self.settings.max_timeout)

    # -- models -------------------------------------------------------------------------------------------------

    async def _models(self, call: ServedCall) -> None:
        # A route with `*` in its name has no name that a client could send.
        names = [name for name in self.names.listed(_client(call)) if "*" not in name]
        body = build_models(names, self.state.started_at, messages=_speaks_messages(call))
        await call.responder.send_whole(200, JSON_HEADERS, body)

    async def _model(self, call: ServedCall) -> None:
        name = unquote(call.path.removeprefix("/models/"))  # SDKs write the slash of a name as %2F
        self.names.resolve(name, _client(call))
        body = build_model(name, self.state.started_at, messages=_speaks_messages(call))
        await call.responder.send_whole(200, JSON_HEADERS, body)

    # -- the gateway itself -------------------------------------------------------------------------------------

    async def _health(self, call: ServedCall) -> None:
        status, word = (503, b"stopping") if self.state.stopping else (200, b"ok")
        await call.responder.send_whole(status, JSON_HEADERS, b'{"status":"%b"}' % word)

    async def _ready(self, call: ServedCall) -> None:
        """Answer 200 if a call could be made: at least one provider that the gateway offers is configured."""
        usable = {vendor_of(one.provider) for one in self.router.statuses() if one.status in ("available", "refused")}
        wanted = self.names.offered()
        ready = not self.state.stopping and bool(usable & wanted if wanted else usable)
        body = b'{"status":"ready"}' if ready else b'{"status":"no provider is configured"}'
        await call.responder.send_whole(200 if ready else 503, JSON_HEADERS, body)

    async def _metrics(self, call: ServedCall) -> None:
        key = _client(call).settings
        if key is not None and not key.metrics:
            raise RequestRejected(_METRICS_NOT_ALLOWED)
        await call.responder.send_whole(200, _TEXT, self.metrics_text())

    def metrics_text(self) -> bytes:
        """Return all counts in the text format of Prometheus."""
        health = self.router.health()
        shared = self.router.shared_status()
        states = {"closed": 0.0, "half-open": 1.0, "open": 2.0}
        budgets = self.keyring.budgets(time.time())
        return self.accounts.metrics.text(
            {
                "turnout_in_flight": ("Generation calls that are running.", [((), self.state.in_flight)]),
                "turnout_connections": ("Open connections.", [((), self.state.connections)]),
                **(
                    {
                        f"turnout_gateway_budget_{what}": (
                            f"{help} in the present period, in the currency of the prices, by key.",
                            [((("key", key), ("per", one.budget.per)), amount(one)) for key, one in budgets],
                        )
                        for what, help, amount in _BUDGET_GAUGES
                    }
                    if budgets
                    else {}
                ),
                **(
                    {"turnout_shared_store_up": ("1 if the store can be reached.", [((), shared.state == "in reach")])}
                    if shared is not None
                    else {}
                ),
                "turnout_breaker_state": (
                    "State of each candidate's circuit breaker: 0 closed, 1 half-open, 2 open.",
                    [((("candidate", one.candidate),), states.get(str(one.state), 0.0)) for one in health],
                ),
                "turnout_candidate_in_flight": (
                    "Requests to each candidate that are running.",
                    [((("candidate", one.candidate),), one.in_flight) for one in health],
                ),
            }
        )


def _client(call: ServedCall) -> Client:
    if call.client is None:
        raise RequestRejected(INTERNAL_ERROR)
    return call.client


def _speaks_messages(call: ServedCall) -> bool:
    return call.request.head.headers.get("anthropic-version") is not None
