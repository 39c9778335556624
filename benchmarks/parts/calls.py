"""What a call costs that is no stream: over each transport, with a fallback, with a long history, with vectors."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.clients.interface import TITLES
from benchmarks.clients.worker import Order, least_of_rounds, least_of_turns
from benchmarks.report import Context, Ratio, Report, Table
from benchmarks.server.routes import CALL, FAILURE

__all__ = ["calls", "embeddings", "fallbacks", "history"]

_OWN = ("socket", "trio", "asyncio")
_BY_HAND = ("hand-socket", "hand-trio", "hand-asyncio")
_FORMS = ("base64", "text", "short")
_HISTORY_MESSAGES, _HISTORY_SIZE = 83, 1_200
# Counted with `benchmarks.work`, in all files.
_WHY_CALLS = (
    "Why a call costs more than by hand: it takes 11,200 bytecodes over sockets and 12,500 on trio, in 460 and 560 "
    "functions. By hand with trio and h11 it takes 9,300 in 370, of which h11 has 6,600. Of Turnout's own, routing has "
    "4,500 (candidates, slots, timers, the trace), the dialect 1,700, HTTP 1,200, drivers and transport 1,700, the "
    "initialisers of the objects of a call 1,400, and the caller's request and response 700. No function has more than "
    "4 %. The bytecodes of h11 are a few loops that run for each header field; those of Turnout run once each, so a "
    "processor must load more code for them. At the cost that a bytecode has now, 1.2 × would leave room for about "
    "6,800.",
    "A call over requests takes 24,700 bytecodes by hand. Over a user's session Turnout adds 11,000 to them: the same "
    "as over sockets. 1.15 × would leave 3,700 for routing, the dialect, the driver and the transport.",
)
_WHY_EMBEDDINGS = (
    "By hand and with msgspec alone, each vector is an object of its own, base64 or a list of Python floats. Turnout "
    "also checks their number and order, and joins them into one buffer of float32, which numpy takes without a copy.",
)


def calls(context: Context) -> Report:
    """Measure calls whose reply has 600 bytes and 16 header fields, over a connection that is kept."""
    times = context.times(200, 20)
    url = [context.server.base_url(CALL)]
    by_hand = ("hand-socket", "hand-trio", "hand-trio-h11", "hand-asyncio", "hand-asyncio-h11", "hand-requests")
    names = (*_OWN, "requests", "requests-session", *by_hand)
    least = least_of_rounds(context.clients(*names), context.rounds, "chat", url, times, warm_up=10)
    few = least_of_rounds(context.peers, 2, "chat", url, times // 5, warm_up=3)
    cost = {name: each.cpu / times * 1e6 for name, each in least.items()}
    cost |= {name: each.cpu / (times // 5) * 1e6 for name, each in few.items()}
    ratios = [
        Ratio(f"a call, {name}, over trio + h11 by hand", cost[name] / cost["hand-trio-h11"], 1.2) for name in _OWN
    ]
    ratios += [
        Ratio("a call, requests, over plain requests", cost["requests"] / cost["hand-requests"], 1.0),
        Ratio("a call, a user's session, over plain requests", cost["requests-session"] / cost["hand-requests"], 1.15),
    ]
    rows = tuple((TITLES[name], f"{value:,.0f}") for name, value in cost.items())
    table = Table("µs of CPU a call", ("client", "µs"), rows)
    bars = {TITLES[name]: value for name, value in cost.items()}
    return Report("calls", (table,), tuple(ratios), bars, notes=_WHY_CALLS)


def fallbacks(context: Context) -> Report:
    """Measure calls whose first candidate replies with status 500, so that the second is tried."""
    times = context.times(200, 20)
    urls = [context.server.base_url(FAILURE), context.server.base_url(CALL)]
    clients = context.clients(*_OWN, "requests")
    orders = {
        "whole": Order("chat", urls[1:], times, {"warm_up": 10}),
        "fallen": Order("chat", urls, times, {"warm_up": 10}),
    }
    least = least_of_turns(clients, context.rounds, orders)
    whole, fallen = least["whole"], least["fallen"]
    ratios = tuple(
        Ratio(f"a fallback taken, {name}, over a call", fallen[name].cpu / whole[name].cpu, 2.2) for name in _OWN
    )
    rows = tuple(
        (TITLES[name], f"{whole[name].cpu / times * 1e6:,.0f}", f"{fallen[name].cpu / times * 1e6:,.0f}")
        for name in clients
    )
    return Report("fallbacks", (Table("µs of CPU a call", ("client", "a call", "after a 500"), rows),), ratios)


def history(context: Context) -> Report:
    """Measure what a conversation of 100 KB adds to a call that sends it again, with one message more."""
    times = context.times(50, 5)
    url = [context.server.base_url(CALL)]
    roles = ("user", "assistant")
    messages = [
        (roles[place % 2], f"{place:04d} " + "word " * (_HISTORY_SIZE // 5)) for place in range(_HISTORY_MESSAGES)
    ]
    orders = {
        "long": Order("chat", url, times, {"warm_up": 10, "history": messages}),
        "short": Order("chat", url, times, {"warm_up": 10}),
    }
    clients = context.clients(*_OWN, *_BY_HAND, "hand-codec")
    # Many short turns: what is left of two large figures must not be what happened beside one of them.
    least = least_of_turns(clients, 4 * context.rounds, orders)
    added = {name: (least["long"][name].cpu - least["short"][name].cpu) / times * 1e6 for name in clients}
    ratios = tuple(
        Ratio(
            f"a 100 KB history, {name}, over msgspec's encoding of it (the sending of it subtracted)",
            _without_network(added, name) / added["hand-codec"],
            1.5,
        )
        for name in _OWN
    )
    rows = tuple((TITLES[name], f"{value:,.0f}") for name, value in added.items())
    title = f"µs of CPU that a history of {_HISTORY_MESSAGES} messages and 100 KB adds to a call"
    return Report("history", (Table(title, ("client", "µs"), rows),), ratios)


def embeddings(context: Context) -> Report:
    """Measure 100 vectors of 1,536 floats, as base64 and as text: what they add to a call with 100 vectors of one."""
    times = context.times(20, 3)
    orders = {form: Order("embed", [context.server.base_url(f"vectors-{form}")], times) for form in _FORMS}
    clients = context.clients(*_OWN, *_BY_HAND, "hand-codec")
    least = least_of_turns(clients, context.rounds, orders)
    cost = {form: {name: each.cpu / times * 1e6 for name, each in least[form].items()} for form in _FORMS}
    ratios = []
    for form in ("base64", "text"):
        added = {name: value - cost["short"][name] for name, value in cost[form].items()}
        ratios += [
            Ratio(
                f"vectors as {form}, {name}, over msgspec's decoding (the call and the receiving of them subtracted)",
                _without_network(added, name) / added["hand-codec"],
                1.5,
            )
            for name in _OWN
        ]
    rows = tuple((TITLES[name], *(f"{cost[form][name]:,.0f}" for form in _FORMS)) for name in clients)
    columns = ("client", "as base64", "as text", "of one float each")
    return Report(
        "embeddings", (Table("µs of CPU for 100 vectors", columns, rows),), tuple(ratios), notes=_WHY_EMBEDDINGS
    )


def _without_network(added: Mapping[str, float], name: str) -> float:
    """Return what is added without sending or receiving it: by hand, that is what is added beside the codec."""
    return added[name] - (added[f"hand-{name}"] - added["hand-codec"])
