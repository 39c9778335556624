"""The gateway: it answers requests of several protocols through one router.

    async with Router(providers, on_trace=record_trace) as router:
        await Gateway(router, GatewaySettings()).serve()

`serve` runs until it is cancelled, or until `stop` ends it gracefully.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs
import trio

from turnout.config.values import SettingsError
from turnout.errors import TurnoutError
from turnout.http.http1_server import MalformedRequest, RequestHead, ServedRequest
from turnout.prices import Price
from turnout.providers.keys import KeyedProvider
from turnout.serving import INTERNAL_ERROR, RequestRejected, ServedError, served_error
from turnout_io.metrics import CONTENT_TYPE
from turnout_io.serve.accounts import Accounts, StoreAccess
from turnout_io.serve.body_memory import BodyMemory
from turnout_io.serve.budget_file import BudgetFile
from turnout_io.serve.connection import Connection, ConnectionLimits, Responder, StopReason
from turnout_io.serve.endpoints import Endpoints, GatewayState, canonical_path, no_capacity
from turnout_io.serve.keys import Keyring
from turnout_io.serve.names import ModelNames
from turnout_io.serve.origins import OriginCheck
from turnout_io.serve.refusals import NO_ROOM, malformed_request, refuse_connection, send_error, unsupported_coding
from turnout_io.serve.served_call import ServedCall, current_call, request_id_of
from turnout_io.serve.settings import Address, GatewaySettings
from turnout_io.trio import Router

__all__ = ["Gateway", "scopes_of"]

LOG: Final = logging.getLogger("turnout.serve")
_HANDSHAKE_TIMEOUT: Final = 10.0
# Seconds for the last words to a client when the gateway stops.
_LAST_WORDS: Final = 2.0
_SYNC_INTERVAL: Final = 60.0
# Connections above the bound that are told so. Beyond them a connection is closed without a word.
_MOST_REFUSED: Final = 64


@attrs.define(eq=False)
class Gateway:
    """Serves chat completions, Responses, Messages and embeddings.

    Args:
        router: Makes the calls to providers. Its `on_trace` must be `record_trace`, or call it.
        settings: How the gateway serves.
        prices: The prices of models, for budgets.
        scopes: The scopes of each provider's own fields, by its name: `scopes_of(providers)`.
        models: Models as `provider/model` that the list of models shows, if every one can be used.
        addresses: Where it listens, once `serve` has begun.
    """

    router: Router
    settings: GatewaySettings = attrs.field(factory=GatewaySettings)
    prices: Mapping[str, Price] = attrs.field(factory=dict, kw_only=True)
    scopes: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, kw_only=True)
    models: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    addresses: tuple[str, ...] = attrs.field(default=(), init=False)
    state: GatewayState = attrs.field(factory=GatewayState, init=False)
    endpoints: Endpoints = attrs.field(init=False)
    _origins: OriginCheck = attrs.field(init=False)
    _bodies: BodyMemory = attrs.field(init=False)
    _connections: set[Connection] = attrs.field(factory=set, init=False)
    # Connections, also those in a TLS handshake; and those above the bound.
    _accepted: set[trio.abc.Stream] = attrs.field(factory=set, init=False)
    _refused: set[trio.abc.Stream] = attrs.field(factory=set, init=False)
    _accepting: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _stopped: trio.Event = attrs.field(factory=trio.Event, init=False)
    _ending: trio.CancelScope = attrs.field(factory=trio.CancelScope, init=False)
    _date: tuple[int, str] = attrs.field(default=(0, ""), init=False)

    def __attrs_post_init__(self) -> None:
        settings = self.settings
        shared = self.router._core.shared
        if shared is not None and settings.budget_file is not None:
            raise SettingsError("serve.budgetFile: remove it; the store of `shared` remembers what keys have spent")
        keyring = Keyring.of(settings.keys, shared)
        core = self.router._core
        routes = [f"route/{name}" for name in core.route_names()]
        routes += [name for name in core.alias_names() if name.startswith("route/")]
        names = ModelNames(settings.aliases, routes, core.models_named, settings.allows_any, self.scopes, self.models)
        accounts = Accounts(self.prices, names.candidates)
        if shared is not None:
            accounts.store = StoreAccess(self.router._notify_waiters, lambda: shared.state.changes, self.router._now)
        if settings.budget_file is not None:
            accounts.budget_file = BudgetFile.open(settings.budget_file, keyring.clients, time.time())
        self.endpoints = Endpoints(self.router, settings, names, keyring, accounts, self.state)
        self._bodies = BodyMemory(settings.max_bodies)
        self._origins = OriginCheck(settings.cors_origins, settings.listen, open=keyring.local is not None)

    # -- life ---------------------------------------------------------------------------------------------------

    async def serve(
        self,
        listeners: Sequence[trio.abc.Listener[trio.abc.Stream]] | None = None,
        *,
        task_status: trio.TaskStatus[tuple[str, ...]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until `stop`, or until it is cancelled. It reports its addresses when it listens.

        Args:
            listeners: Open listeners, such as those of a service manager. None opens the address of the settings.
            task_status: For `nursery.start`.

        Raises:
            SettingsError: The address cannot be used, or the certificate cannot be read.
        """
        settings = self.settings
        context = _tls_context(settings)
        served: list[trio.abc.Listener[trio.abc.Stream]] = (
            list(listeners) if listeners is not None else [*await _listen(settings.listen, "serve.listen")]
        )
        metrics: list[trio.SocketListener] = []
        if settings.metrics is not None:
            try:
                metrics = await _listen(settings.metrics, "serve.metrics")
            except SettingsError:
                for listener in served:
                    await trio.aclose_forcefully(listener)
                raise
        scheme = "http" if context is None else "https"
        self.addresses = tuple(f"{scheme}://{_shown(one)}" for one in served if isinstance(one, trio.SocketListener))
        accept = functools.partial(self._accept, context)
        try:
            async with trio.open_nursery() as background:
                background.start_soon(self._watch, background)
                background.start_soon(self._sync_budgets)
                if metrics:
                    background.start_soon(trio.serve_listeners, self._accept_metrics, metrics)
                async with trio.open_nursery() as connections:
                    connections.start_soon(self._end_after_grace, connections)
                    with self._accepting:
                        task_status.started(self.addresses)
                        await trio.serve_listeners(accept, served, handler_nursery=connections)
                    for listener in served:
                        await trio.aclose_forcefully(listener)
                    for connection in tuple(self._connections):
                        connection.end_when_idle()
                background.cancel_scope.cancel()
        finally:
            budget_file = self.endpoints.accounts.budget_file
            if budget_file is not None:
                budget_file.close()

    def stop(self) -> None:
        """Stop: accept nothing new, let running requests end within the grace, then cut them. Twice: cut them now."""
        count = self.state.in_flight
        requests = f"{count} request{'' if count == 1 else 's'} in flight"
        if self.state.stopping:
            LOG.info("stopping at once: %s", requests)
            self._ending.cancel()
        else:
            LOG.info("stopping: %s", requests)
        self.state.stopping = True
        self._accepting.cancel()
        self._stopped.set()

    async def _end_after_grace(self, connections: trio.Nursery) -> None:
        """Wait for the stop, then for the last connection, but no longer than the grace."""
        await self._stopped.wait()
        with self._ending:
            with trio.move_on_after(self.settings.grace):
                while self._connections:
                    await trio.sleep(0.02)
        for connection in tuple(self._connections):
            if connection.responder is not None:
                connection.responder.stop(StopReason.SHUTDOWN)
        with trio.move_on_after(_LAST_WORDS + 1):
            while self._connections:
                await trio.sleep(0.02)
        connections.cancel_scope.cancel()

    async def _sync_budgets(self) -> None:
        while True:
            await trio.sleep(_SYNC_INTERVAL)
            if (budget_file := self.endpoints.accounts.budget_file) is not None:
                await trio.to_thread.run_sync(budget_file.sync)

    async def _watch(self, nursery: trio.Nursery) -> None:
        """Fill the silence of streams, and cut clients that do not read."""
        settings = self.settings
        tick = min(1.0, settings.head_after / 4, settings.write_timeout / 4)
        while True:
            await trio.sleep(tick)
            now = trio.current_time()
            for stream in tuple(self.endpoints.active):
                responder = stream.responder
                silent = now - responder.last_write >= settings.head_after
                if silent and not stream.pinging and not responder.is_writing:
                    stream.pinging = True
                    nursery.start_soon(stream.send_ping)
            for connection in tuple(self._connections):
                running = connection.responder
                if running is not None and now - running.writing_since >= settings.write_timeout:
                    running.stop(StopReason.CLIENT_TOO_SLOW)

    # -- connections --------------------------------------------------------------------------------------------

    async def _accept(self, context: ssl.SSLContext | None, stream: trio.abc.Stream) -> None:
        is_full = len(self._accepted) >= self.settings.max_connections
        if is_full and len(self._refused) >= _MOST_REFUSED:
            await trio.aclose_forcefully(stream)
            return
        among = self._refused if is_full else self._accepted
        among.add(stream)
        try:
            secure = stream if context is None else await _handshake(context, stream)
            if secure is None:
                return
            if is_full:
                self.endpoints.accounts.metrics.requests.add("refused", "503", "-")
                await refuse_connection(secure, self._handle, self._malformed, self._http_date, self._bodies)
            else:
                await self._serve_connection(secure)
        finally:
            among.discard(stream)

    async def _serve_connection(self, stream: trio.abc.Stream) -> None:
        settings = self.settings
        limits = ConnectionLimits(
            max_body=settings.max_body,
            head_timeout=settings.head_timeout,
            body_timeout=settings.body_timeout,
            request_timeout=settings.request_timeout,
            idle_timeout=settings.idle_timeout,
            write_timeout=settings.write_timeout,
        )
        connection = Connection(
            stream, limits, self._handle, self._malformed, self._early, self._http_date, self._bodies
        )
        connection.keep_alive = not self.state.stopping
        self._connections.add(connection)
        self.state.connections = len(self._connections)
        try:
            await connection.serve()
        except Exception:
            # One client must not end the gateway for all others.
            LOG.exception("a connection failed")
        finally:
            self._connections.discard(connection)
            self.state.connections = len(self._connections)

    async def _accept_metrics(self, stream: trio.abc.Stream) -> None:
        """Serve `/metrics` on a separate address, without a key."""

        async def handle(request: ServedRequest, responder: Responder) -> None:
            with responder.scope:
                if canonical_path(request.head.path) == "/metrics":
                    await responder.send_whole(200, list(_METRICS_HEADERS), self.endpoints.metrics_text())
                else:
                    await responder.send_whole(404, [], b"")

        async def malformed(fault: MalformedRequest, responder: Responder) -> None:
            await responder.send_whole(fault.status, [], b"")

        async def early(head: RequestHead, responder: Responder) -> bool:
            return False

        limits = ConnectionLimits(max_body=0)
        connection = Connection(stream, limits, handle, malformed, early, self._http_date, BodyMemory(0))
        with contextlib.suppress(Exception):
            await connection.serve()

    def _http_date(self) -> str:
        now = int(time.time())
        if now != self._date[0]:
            self._date = (now, _http_date(now))
        return self._date[1]

    # -- requests -----------------------------------------------------------------------------------------------

    def _call(self, request: ServedRequest, responder: Responder) -> ServedCall:
        request_id = request_id_of(request.head.headers.get("x-request-id"))
        responder.headers = [("x-request-id", request_id), ("request-id", request_id)]
        return ServedCall(request, responder, canonical_path(request.head.path), request_id, scopes=self.scopes)

    async def _handle(self, request: ServedRequest, responder: Responder) -> None:
        call = self._call(request, responder)
        token = current_call.set(call)
        try:
            with responder.scope:
                try:
                    await self._answer(call)
                except (TurnoutError, Exception) as error:
                    await self._fail(call, error)
            if responder.stop_reason is StopReason.SHUTDOWN:
                await self._last_words(call)
        finally:
            current_call.reset(token)
            left = responder.stop_reason in (StopReason.CLIENT_LEFT, StopReason.CLIENT_TOO_SLOW)
            self.endpoints.accounts.log(call, 499 if left else responder.status)

    async def _answer(self, call: ServedCall) -> None:
        head, responder = call.request.head, call.responder
        cors = self._origins.check(head)
        responder.headers += cors
        if head.method == "OPTIONS" and cors:
            await responder.send_whole(204, self._origins.preflight(), b"")
            return
        coding = (head.headers.get("content-encoding") or "identity").strip()
        if coding.lower() != "identity":
            raise RequestRejected(unsupported_coding(coding))
        await self.endpoints.answer(call)

    async def _fail(self, call: ServedCall, error: BaseException) -> None:
        served = served_error(error)
        call.error = served
        if not isinstance(error, RequestRejected):
            call.cause = error
        if served is INTERNAL_ERROR:
            LOG.error("%s: the gateway failed", call.request_id, exc_info=error)
        if isinstance(error, TurnoutError) and call.trace is None and error.trace.attempts:
            call.trace = error.trace
        if call.responder.status:
            # The response has begun, so no status can be sent any more: the connection ends without its last chunk.
            call.responder.stop(StopReason.CLIENT_LEFT)
            return
        attempts = call.trace.attempts if call.trace is not None else 0
        await send_error(call.responder, call.path, served, call.request_id, call.headers(), attempts=attempts)

    async def _last_words(self, call: ServedCall) -> None:
        """Tell a client that its request was cut because the gateway stops."""
        error = ServedError(
            status=503,
            type="server_error",
            code="overloaded",
            messages_type="overloaded_error",
            message="the gateway stops; try again",
            retryable=True,
        )
        responder = call.responder
        responder.scope = trio.CancelScope()
        call.error = error
        with trio.move_on_after(_LAST_WORDS, shield=True):
            if call.writer is not None:
                await responder.finish(call.writer.error(error, call.request_id))
            elif not responder.status:
                await send_error(responder, call.path, error, call.request_id, [])

    async def _malformed(self, fault: MalformedRequest, responder: Responder) -> None:
        error = no_capacity(NO_ROOM).error if fault.status == 503 else malformed_request(fault)
        if responder.head is not None:
            await self._reject(self._call(ServedRequest(responder.head, b""), responder), error)
            return
        self.endpoints.accounts.metrics.requests.add("malformed", str(fault.status), "-")
        with responder.scope, trio.move_on_after(self.settings.write_timeout):
            await send_error(responder, "/", error, request_id_of(None), [])

    async def _early(self, head: RequestHead, responder: Responder) -> bool:
        """Reject a client without a key, a path that is none, or a body without room, before the body arrives."""
        call = self._call(ServedRequest(head, b""), responder)
        try:
            responder.headers += self._origins.check(head)
            if call.path not in ("/health", "/ready"):
                call.client = self.endpoints.keyring.authenticate(head.headers)
            if head.method != "OPTIONS":  # of a browser, for any path
                self.endpoints.find(call.path, head.method, responder.headers)
            if not self._bodies.has_room(_declared(head)):
                raise no_capacity(NO_ROOM)
        except RequestRejected as rejected:
            await self._reject(call, rejected.error)
            return True
        return False

    async def _reject(self, call: ServedCall, error: ServedError) -> None:
        """Reject a request whose body has not arrived."""
        call.error = error
        with call.responder.scope, trio.move_on_after(self.settings.write_timeout):
            await send_error(call.responder, call.path, error, call.request_id, [])
        self.endpoints.accounts.log(call, call.responder.status)


def scopes_of(providers: Iterable[object]) -> dict[str, tuple[str, ...]]:
    """Return the scopes of the providers' own fields, by their names. A provider outside the catalog may have none."""
    found: dict[str, tuple[str, ...]] = {}
    for one in providers:
        first = one.accounts[0] if isinstance(one, KeyedProvider) else one
        found[str(getattr(one, "name", ""))] = tuple(getattr(first, "scopes", ()))
    return found


_DAYS: Final = "Mon Tue Wed Thu Fri Sat Sun".split()
_MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


def _http_date(seconds: float) -> str:
    """Return a time in the form of RFC 9110. `email.utils` does the same, and loads twelve modules for it."""
    at = time.gmtime(seconds)
    day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
    return f"{day} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"


def _declared(head: RequestHead) -> int:
    """Return the declared length of a body, 0 if there is none. The reader has checked it."""
    length = head.headers.get("content-length")
    return int(length.partition(",")[0]) if length is not None else 0


_METRICS_HEADERS: Final = (("content-type", CONTENT_TYPE),)


async def _listen(address: Address, where: str) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(address.port, host=address.host)
    except OSError as error:
        raise SettingsError(f"{where}: {address} cannot be used: {error.strerror or error}") from None


async def _handshake(context: ssl.SSLContext, stream: trio.abc.Stream) -> trio.abc.Stream | None:
    """Return the stream with TLS, None if the handshake failed."""
    secure = trio.SSLStream(stream, context, server_side=True, https_compatible=True)
    try:
        with trio.fail_after(_HANDSHAKE_TIMEOUT):
            await secure.do_handshake()
        return secure
    except (trio.BrokenResourceError, trio.TooSlowError, ssl.SSLError):
        await trio.aclose_forcefully(stream)
        return None


def _shown(listener: trio.SocketListener) -> str:
    host, port = listener.socket.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise SettingsError(f"serve.tlsCertificate, serve.tlsKey: cannot be read: {error}") from None
    return context
