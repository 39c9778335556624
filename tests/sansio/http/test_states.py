"""The table of states of an exchange: each transition that happens is in it, and each one in it happens."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.http import HttpRequest
from turnout.http.http1 import Http1Exchange
from turnout.http.states import EXCHANGE_TRANSITIONS, ExchangeState

PAGE = Path(__file__).resolve().parents[3] / "docs" / "states.md"
REQUEST = HttpRequest("POST", "http://example.test/v1/chat", (), b"{}")
PAIRS = {(state, to) for state, following in EXCHANGE_TRANSITIONS.items() for to in following}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
# What a server sends, and whether the request was sent before.
RESPONSES = [
    (HEAD + b"ok", True),
    (HEAD + b"o", True),
    (b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n", False),
    (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", True),
    (b"HTTP/1.1 200 OK\r\n\r\n", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n0\r\n\r\n", True),
    (b"no HTTP at all\r\n\r\n", True),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD, True),
]


def test_exchanges_take_every_transition_of_the_table_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[tuple[ExchangeState, ExchangeState]] = set()
    move = Http1Exchange._move

    def record(self: Http1Exchange, to: ExchangeState) -> None:
        seen.add((self.state, to))
        move(self, to)

    monkeypatch.setattr(Http1Exchange, "_move", record)
    for response, sends in RESPONSES:
        for size in (1, len(response)):
            exchange = Http1Exchange.to_url(REQUEST)
            while sends and exchange.next_chunk() is not None:
                pass
            for start in range(0, len(response), size):
                exchange.receive_data(response[start : start + size])
            exchange.receive_eof()
            assert exchange.ended == (exchange.state is ExchangeState.ENDED)
            assert exchange.ended or exchange.failure is not None
    assert seen == PAIRS


def test_an_illegal_transition_is_refused() -> None:
    exchange = Http1Exchange.to_url(REQUEST)
    with pytest.raises(AssertionError, match="an exchange cannot go from NEW to BODY"):
        exchange._move(ExchangeState.BODY)
    assert exchange.state is ExchangeState.NEW


def test_the_page_of_diagrams_is_up_to_date() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for state, to in PAIRS:
        assert f"    {state.name} --> {to.name}\n" in text, "run python tools/state_diagrams.py"
