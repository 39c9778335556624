"""`turnout trace view`: one page that loads nothing and shows every text as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from tests.transports.cli.terminal import Terminal
from turnout.failures import FailureClass, Phase
from turnout.trace import Trace
from turnout.trace.entries import (
    Answered,
    AttemptCompleted,
    CallFailed,
    Entry,
    Failed,
    FirstContent,
    Queued,
    ResponseStarted,
    Retrying,
    Skipped,
    Started,
)
from turnout_io.cli.commands.traces.page import page_of
from turnout_io.recorder import TraceRecorder

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "span", "i", "b", "details", "summary"),
    *("div", "small", "ol", "li", "time"),
}
ATTRIBUTES = {"lang", "charset", "name", "content", "http-equiv", "class", "open", "style", "title"}


class Reader(HTMLParser):
    """Collects the elements and the text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.bars: list[tuple[str, float, float]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag == "b":
            values = dict(attrs)
            left, width = re.findall(r"([\d.]+)%", values["style"] or "")
            self.bars.append((values["class"] or "", float(left), float(width)))

    def handle_data(self, data: str) -> None:
        self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    return reader


def failed_then_answered(text: str = "x") -> list[Entry]:
    return [
        Skipped(0.0, text, text),
        Queued(0.0, None, text),
        Started(0.5, 1, 0, text),
        Failed(1.0, 1, FailureClass.OVERLOADED, Phase.HEAD, status=503, code=text),
        Retrying(1.0, text, 0.5, text),
        Started(1.5, 2, 1, "gemini/g", omitted_settings=(text,)),
        ResponseStarted(1.75, 2, 200),
        FirstContent(2.0, 2),
        AttemptCompleted(2.5, 2, tokens=7, cost=0.25),
        Answered(2.5, "gemini/g"),
    ]


texts = st.one_of(
    st.text(max_size=40), st.sampled_from(["<script>alert(1)</script>", '"><img src=x onerror=a()>', "</style>"])
)


@given(texts, texts)
def test_every_text_of_a_trace_is_escaped(text: str, name: str) -> None:
    trace = Trace("chat", (text, "gemini/g"), metadata={text: name}, entries=failed_then_answered(text))
    page = read(page_of(name, [(1, trace)]))
    assert page.tags <= TAGS
    assert page.attributes <= ATTRIBUTES


def test_the_waterfall_has_waits_attempts_and_the_first_content() -> None:
    page = read(
        page_of("calls.jsonl", [(4, Trace("stream", ("a/x", "gemini/g"), entries=failed_then_answered("a/x")))])
    )
    assert page.bars == [
        ("wait", 0.0, 20.0),
        ("bad", 20.0, 20.0),
        ("wait", 40.0, 20.0),
        ("head", 60.0, 10.0),
        ("think", 70.0, 10.0),
        ("text", 80.0, 20.0),
    ]
    assert "gemini/g answered, after a/x failed (status 503, overloaded, a/x)." in page.text
    assert "line 4, stream, 2.5 s, 2 attempts, cost 0.25" in page.text
    assert "answered in 1 s, first content after 0.5 s" in page.text


def test_equal_failures_in_a_row_are_counted() -> None:
    def failed(number: int, at: float, code: str) -> list[Entry]:
        return [
            Started(at, number, 0, "a/x"),
            Failed(at, number, FailureClass.SERVER, Phase.HEAD, status=500, code=code),
        ]

    entries = [*failed(1, 0.0, "x"), *failed(2, 1.0, "x"), *failed(3, 2.0, "y"), Started(3.0, 4, 0, "g/m")]
    entries += [AttemptCompleted(4.0, 4), Answered(4.0, "g/m")]
    page = read(page_of("calls.jsonl", [(1, Trace("chat", ("a/x", "g/m"), entries=entries))]))
    reasons = "a/x failed 2 times (status 500, server, x); a/x failed (status 500, server, y)."
    assert f"g/m answered, after {reasons}" in page.text


def test_the_page_loads_nothing() -> None:
    page = page_of("calls.jsonl", [(1, Trace("chat", ("a/x",), entries=failed_then_answered()))])
    assert "default-src 'none'" in page
    assert not re.search(r"https?:|url\(|src=|<script|@import", page)


def test_a_call_without_an_answer_says_why() -> None:
    trace = Trace("chat", ("a/x",), entries=[CallFailed(0.0, "no candidate is configured")])
    page = read(page_of("calls.jsonl", [(1, trace)], left_out=3))
    assert "No candidate answered: no candidate is configured." in page.text
    assert "3 earlier calls are not shown" in page.text


def test_the_page_is_written_beside_and_never_over_another_file(bare: Terminal) -> None:
    calls, page = bare.folder / "calls.jsonl", bare.folder / "page.html"
    with TraceRecorder(calls) as recorder:
        for _ in range(3):
            recorder(Trace("chat", ("a/x",), entries=failed_then_answered()))
    assert bare.check("trace", "view", str(calls), "-n", "2", "-o", str(page)).returncode == 0
    one = bare.check("trace", "view", str(calls), "-n", "1", "-o", str(bare.folder / "one.html"))
    assert one.stderr == f"turnout: 1 call is in {bare.folder / 'one.html'}\n"
    assert "2 calls of calls.jsonl" in page.read_text("utf-8")
    assert bare.check("trace", "view", str(calls), "--failed").stderr == f"turnout: {calls} has no failed call\n"
    (bare.folder / "calls.html").write_text("mine")
    done = bare.type("trace", "view", "calls.jsonl")
    assert done.returncode == 1
    assert "calls.html exists and is no page of this command" in done.stderr
    assert (bare.folder / "calls.html").read_text() == "mine"
    calls.rename(bare.folder / "calls.2026-11.jsonl")
    assert bare.type("trace", "view", "calls.2026-11.jsonl").stderr == "turnout: 3 calls are in calls.2026-11.html\n"
