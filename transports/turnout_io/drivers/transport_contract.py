"""What the drivers do with a transport of a user that breaks the rules of `turnout_io.base`.

Our own transports are not checked: they keep the rules, and so every error of theirs that is not Turnout's is one of
the program's, such as an error that the handler of a signal raises.
"""

from __future__ import annotations

import inspect
import signal
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, NoReturn

from turnout.errors import (
    AuthenticationFailed,
    LocalProtocolError,
    Phase,
    RemoteProtocolError,
    TransportError,
    TurnoutError,
)
from turnout.redaction import clear_locals

__all__ = [
    "async_close",
    "attempt_failure",
    "check_head",
    "check_response",
    "refuse_data",
    "report_close_failure",
    "sync_close",
]

_MAX_TEXT = 200  # characters of a foreign message


def check_response(transport: object, responses: MutableMapping[int, Any], attempt: int, close: str) -> None:
    """Check the response of a user's transport once, when it was opened.

    Args:
        transport: The transport.
        responses: The open responses of the call. What cannot be closed is removed from them.
        attempt: The attempt whose response is checked.
        close: The name of the closing method.

    Raises:
        LocalProtocolError: If a member is not what `turnout_io.base` says. It names the transport and the member.
    """
    if _is_ours(transport):
        return
    response = responses[attempt]
    if not callable(getattr(response, close, None)):
        del responses[attempt]
    for name in ("read", close):
        if not callable(getattr(response, name, None)):
            members = f"a response with the members status, headers, read and {close}"
            _refuse(transport, f"open must return {members}, not {_kind(response)}")


def check_head(transport: object, response: Any) -> tuple[int, Iterable[tuple[str, str]]]:
    """Return the status and the header fields of the response of a transport, checked if the transport is a user's.

    Raises:
        LocalProtocolError: See `check_response`.
    """
    if _is_ours(transport):
        return response.status, response.headers
    for name in ("status", "headers"):
        if not hasattr(response, name):
            _refuse(transport, f"{type(response).__name__} has no member {name}")
    status, headers = response.status, response.headers
    if not isinstance(status, int):
        _refuse(transport, f"response.status must be an int, not {_kind(status)}")
    wanted = "response.headers must be a list of (name, value) strings"
    if isinstance(headers, Mapping | str | bytes) or not isinstance(headers, Iterable):
        _refuse(transport, f"{wanted}, not {_kind(headers)}")
    fields: list[Any] = list(headers)
    for field in fields:
        if not isinstance(field, tuple | list) or len(field) != 2:
            _refuse(transport, f"{wanted}, not of {_kind(field)}")
        for part in field:
            if not isinstance(part, str):
                _refuse(transport, f"{wanted}, not of {_kind(part)}")
    return status, fields


def refuse_data(transport: object, data: object) -> NoReturn:
    """Refuse what `read` of a transport returned instead of bytes.

    Raises:
        LocalProtocolError: Always.
    """
    _refuse(transport, f"response.read must return bytes, not {_kind(data)}")


async def async_close(transport: object, name: str, close: Callable[[], Any]) -> None:
    """Close a response or a transport for an async router.

    Args:
        transport: The transport.
        name: The name of the method, for the error.
        close: The method.

    Raises:
        LocalProtocolError: If the method is not async.
    """
    closing = close()
    if not inspect.isawaitable(closing):
        _refuse(transport, f"an async router awaits {name}, so it must be an async function")
    await closing


def sync_close(transport: object, name: str, close: Callable[[], Any]) -> None:
    """Close a response or a transport for a blocking router; see `async_close`.

    Raises:
        LocalProtocolError: If the method is async.
    """
    closing = close()
    if inspect.isawaitable(closing):
        if inspect.iscoroutine(closing):
            closing.close()  # else Python warns that nothing awaited it
        _refuse(transport, f"a blocking router does not await {name}, so it must not be an async function")


def report_close_failure(transport: object, error: Exception) -> None:
    """Log an error of a response's closing method: the answer is there, or the next candidate can give one.

    Raises:
        Exception: The error, if it must reach the caller; see `attempt_failure`.
    """
    if attempt_failure(transport, error, Phase.SENT) is None:
        raise error
    import logging

    logging.getLogger("turnout").warning(
        "transport %s: response was not closed, so its connection may be open: %s",
        type(transport).__name__,
        type(error).__name__,
    )


def attempt_failure(transport: object, error: Exception, phase: Phase) -> TurnoutError | None:
    """Return the failure of an attempt for an error of `open` or `read`.

    Args:
        transport: The transport.
        error: What it raised. If it is no error of Turnout, it is the cause of the failure.
        phase: How far the attempt may have come.

    Returns:
        The failure. None if the error must reach the caller as it is: it blames the caller, or it is a failed
        assertion of a test, or the handler of a signal raised it.
    """
    clear_locals(error)
    if isinstance(error, TransportError | RemoteProtocolError | AuthenticationFailed):
        return error
    if isinstance(error, TurnoutError | AssertionError) or _is_ours(transport) or _is_of_signal(error):
        return None
    if (
        phase is Phase.BODY
        and isinstance(error, TypeError)
        and str(error).endswith("can't be used in 'await' expression")
    ):
        _refuse(transport, "an async router awaits response.read, so it must be an async function")
    # Other libraries may quote header fields, and so a key, in their messages. The operating system does not.
    text = str(error)[:_MAX_TEXT] if isinstance(error, OSError) else ""
    told = f"{type(error).__name__}: {text}" if text else type(error).__name__
    failure = TransportError(
        f"transport {type(transport).__name__} raised {told}; "
        "a transport raises ConnectFailed, TimedOut or Disconnected",
        phase=phase,
    )
    failure.__cause__ = error
    return failure


def _refuse(transport: object, message: str) -> NoReturn:
    raise LocalProtocolError(f"transport {type(transport).__name__}: {message}")


def _kind(value: object) -> str:
    return "None" if value is None else type(value).__name__


def _is_ours(transport: object) -> bool:
    return type(transport).__module__.startswith("turnout_io.")


def _is_of_signal(error: Exception) -> bool:
    """Return True if the function that handles a signal raised the error, such as a time limit of a task queue."""
    handlers: list[Callable[..., object] | object] = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {getattr(getattr(handler, "__func__", handler), "__code__", None) for handler in handlers}
    traceback = error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code in codes:
            return True
        traceback = traceback.tb_next
    return False
