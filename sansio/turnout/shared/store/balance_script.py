"""Requests and replies of the balance script, in the form of its arguments and its return values."""

from __future__ import annotations

from turnout.errors import RemoteProtocolError
from turnout.shared.messages import BalanceReply, BalanceRequest
from turnout.shared.store.resp import RespValue

__all__ = ["balance_arguments", "balance_reply"]


def balance_arguments(request: BalanceRequest, channel: str) -> tuple[str, ...]:
    """Return the script's arguments; it wakes others through `channel`."""
    return (
        request.kind,
        str(request.bound),
        request.process,
        str(request.sequence),
        str(request.spent),
        str(request.held),
        str(request.need),
        str(request.want),
        str(request.floor),
        request.epoch,
        "1" if request.leaving else "0",
        str(request.lasts),
        channel,
    )


def balance_reply(request: BalanceRequest, value: RespValue) -> BalanceReply:
    """Return the script's reply to `request`.

    Raises:
        RemoteProtocolError: If the value is no reply of the script.
    """
    match value:
        case (
            int(granted),
            int(free),
            int(base),
            int(elsewhere),
            int(waiting),
            int(processes),
            int(again),
            bytes(epoch),
            int(gathering),
            int(folded),
        ) if 0 <= granted <= request.want and again >= 0:
            return BalanceReply(
                name=request.name,
                period=request.period,
                granted=granted,
                free=max(0, free),
                base=max(0, base),
                elsewhere=max(0, elsewhere),
                waiting=waiting,
                processes=max(1, processes),
                again=again,
                epoch=epoch.decode("utf-8", "replace"),
                gathering=bool(gathering),
                folded=bool(folded),
            )
        case _:
            raise RemoteProtocolError(f"the balance script of {request.name!r} returned something else than its reply")
