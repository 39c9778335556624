"""Requests and replies of the window script, in the form of its arguments and its return values."""

from __future__ import annotations

from turnout.errors import RemoteProtocolError
from turnout.shared.messages import Pairs, WindowReply, WindowRequest
from turnout.shared.store.resp import RespValue

__all__ = ["window_arguments", "window_reply"]


def window_arguments(request: WindowRequest) -> tuple[str, ...]:
    """Return the script's arguments."""
    flags = "f" * request.full + "r" * request.returned + "l" * request.leaving
    return (
        str(request.window),
        str(request.limit),
        str(request.burst),
        request.process,
        str(request.sequence),
        str(request.need),
        str(request.want),
        request.epoch,
        flags,
        _pairs(request.released),
        _pairs(request.spent),
    )


def window_reply(request: WindowRequest, value: RespValue) -> WindowReply:
    """Return the script's reply to `request`.

    Raises:
        RemoteProtocolError: If the value is no reply of the script.
    """
    match value:
        case (
            int(granted),
            int(now),
            int(free),
            int(credit),
            int(processes),
            int(again),
            bytes(epoch),
            int(limit),
            int(resync),
        ) if 0 <= granted <= max(request.want, request.need) and now >= 0 and again >= 0:
            return WindowReply(
                name=request.name,
                granted=granted,
                now=now,
                free=max(0, free),
                credit=max(0, credit),
                processes=max(1, processes),
                again=again,
                epoch=epoch.decode("utf-8", "replace"),
                limit=max(1, limit),
                resync=bool(resync),
            )
        case _:
            raise RemoteProtocolError(f"the window script of {request.name!r} returned something else than its reply")


def _pairs(pairs: Pairs) -> str:
    return " ".join(f"{first}:{second}" for first, second in pairs)
