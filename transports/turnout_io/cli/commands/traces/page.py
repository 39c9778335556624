"""Traces as one HTML page: each call as a waterfall of its attempts and waits. The page loads nothing.

Candidates, labels and codes can hold text of servers and users, so every text is escaped.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files

import attrs

from turnout.redaction import escape_controls
from turnout.trace import AttemptSummary, Trace, summarize_attempts
from turnout.trace.entries import Answered, CacheHit, CallFailed, Queued, Retrying, Started
from turnout.trace.text import describe, duration

__all__ = ["MARK", "page_of"]

# In the head of every page, so that only pages of this command are overwritten without a question.
MARK = '<meta name="generator" content="turnout trace view">'
# Calls that are shown open. More of them would hide the list.
OPEN_CALLS = 3

_LEGEND = (
    ("head", "until the response headers"),
    ("think", "until the first content"),
    ("text", "until the end"),
    ("bad", "failed"),
    ("calm", "cancelled"),
    ("wait", "waiting"),
)


@attrs.frozen
class Bar:
    """A part of a row: from `start` to `end`, in seconds from the start of the call."""

    kind: str
    start: float
    end: float
    title: str


@attrs.frozen
class Row:
    """One line of the waterfall: an attempt or a wait."""

    start: float
    name: str
    detail: str
    outcome: str
    bars: tuple[Bar, ...]


def page_of(name: str, calls: Sequence[tuple[int, Trace]], left_out: int = 0) -> str:
    """Return the page.

    Args:
        name: The name of the file, for the title.
        calls: Each trace with the number of its line.
        left_out: How many earlier calls of the file are not shown.
    """
    title = _text(f"{len(calls)} call{'' if len(calls) == 1 else 's'} of {name}")
    legend = "".join(f'<span><i class="{kind}"></i>{_text(words)}</span>' for kind, words in _LEGEND)
    body = "\n".join(_call(number, trace, opened=index < OPEN_CALLS) for index, (number, trace) in enumerate(calls))
    style = (files("turnout_io.cli.commands.traces") / "page.css").read_text("utf-8")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
{MARK}
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<p class="totals">{_text(_totals(calls, left_out))}</p>
<p class="legend">{legend}</p>
{body}
</main>
</body>
</html>
"""


def _text(text: str) -> str:
    return html.escape(escape_controls(text))


def _totals(calls: Iterable[tuple[int, Trace]], left_out: int) -> str:
    traces = [trace for _, trace in calls]
    answered = sum(_answer_of(trace) is not None for trace in traces)
    costs = [trace.cost for trace in traces if trace.cost is not None]
    parts = [
        f"{answered} answered, {len(traces) - answered} not",
        f"{sum(trace.attempts for trace in traces)} attempts",
        f"cost {sum(costs):.6g}" if costs else "",
        f"{left_out} earlier calls are not shown" if left_out else "",
    ]
    return "; ".join(filter(None, parts))


def _answer_of(trace: Trace) -> str | None:
    return next((entry.candidate for entry in trace.entries if isinstance(entry, Answered | CacheHit)), None)


def _call(number: int, trace: Trace, *, opened: bool) -> str:
    end = max((entry.at for entry in trace.entries), default=0.0)
    answer = _answer_of(trace)
    outcome = "answered" if answer is not None else "failed"
    facts = [duration(end), f"{trace.attempts} attempt{'' if trace.attempts == 1 else 's'}"]
    if trace.cost is not None:
        facts.append(f"cost {trace.cost:.6g}")
    if trace.started_at is not None:
        facts.append(f"{datetime.fromtimestamp(trace.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC")
    labels = ", ".join(f"{key}: {value}" for key, value in trace.metadata.items())
    rows = "\n".join(_row(row, end) for row in _rows(trace, end))
    steps = "\n".join(
        f"<li><time>{entry.at:.3f} s</time><span>{_text(describe(entry))}</span></li>" for entry in trace.entries
    )
    return f"""<details class="call"{" open" if opened else ""}>
<summary><span class="{outcome}">{outcome}</span>
<span class="model">{_text(answer or ", ".join(trace.candidates))}</span>
<span class="facts">line {number}, {_text(trace.operation)}, {_text(", ".join(facts))}</span>
<span class="labels">{_text(labels)}</span></summary>
<div>
<p class="why">{_text(_why(trace))}</p>
{rows}
<div class="row"><span class="axis-name"></span><span class="axis">{_axis(end)}</span></div>
<details class="steps"><summary>All {len(trace.entries)} decisions and facts</summary>
<ol>
{steps}
</ol></details>
</div>
</details>"""


def _why(trace: Trace) -> str:
    """Return one sentence: which candidate answered, and why not an earlier one."""
    failed = [entry.reason for entry in trace.entries if isinstance(entry, CallFailed)]
    if failed:
        return f"No candidate answered: {failed[-1]}."
    answer = _answer_of(trace)
    if answer is None:
        return "The trace ends before the call does."
    before = [attempt for attempt in summarize_attempts(trace) if attempt.outcome in ("failed", "broke")]
    if not before:
        return f"{answer} answered."
    reasons = [
        f"{candidate} failed{_times(len(list(same)))} ({reason})"
        for (candidate, reason), same in itertools.groupby(
            before, lambda attempt: (attempt.candidate, _reason(attempt))
        )
    ]
    return f"{answer} answered, after {'; '.join(reasons)}."


def _times(count: int) -> str:
    return f" {count} times" if count > 1 else ""


def _reason(attempt: AttemptSummary) -> str:
    status = f"status {attempt.status}" if attempt.outcome != "answered" and attempt.status not in (None, 200) else ""
    return ", ".join(filter(None, (status, attempt.reason)))


def _axis(end: float) -> str:
    return "".join(f"<span>{_text(duration(end * part / 4))}</span>" for part in range(5))


def _rows(trace: Trace, end: float) -> list[Row]:
    rows = [_attempt_row(attempt, end) for attempt in summarize_attempts(trace)]
    return sorted([*rows, *_wait_rows(trace, end)], key=lambda row: row.start)


def _attempt_row(attempt: AttemptSummary, end: float) -> Row:
    ended = attempt.ended if attempt.ended is not None else end
    roles = f" ({', '.join(attempt.roles)})" if attempt.roles else ""
    took = duration(ended - attempt.started)
    first = (
        f", first content after {duration(attempt.first_content - attempt.started)}"
        if attempt.first_content is not None
        else ""
    )
    detail = ", ".join(filter(None, (f"{attempt.outcome} in {took}{first}", _reason(attempt))))
    outcome = "failed" if attempt.outcome == "broke" else attempt.outcome
    return Row(attempt.started, f"{attempt.number}. {attempt.candidate}{roles}", detail, outcome, _bars(attempt, ended))


def _bars(attempt: AttemptSummary, ended: float) -> tuple[Bar, ...]:
    """Return the phases of an attempt. The last phase of one that did not answer has the colour of its outcome."""
    marks = [("head", attempt.started), ("think", attempt.response_started), ("text", attempt.first_content)]
    starts = [(kind, at) for kind, at in marks if at is not None]
    bars = []
    for index, (kind, start) in enumerate(starts):
        last = index == len(starts) - 1
        stop = ended if last else starts[index + 1][1]
        if last and attempt.outcome in ("failed", "broke"):
            kind = "bad"
        elif last and attempt.outcome in ("cancelled", "open"):
            kind = "calm"
        words = dict(_LEGEND)[kind]
        bars.append(Bar(kind, start, stop, f"{words}: {duration(max(0.0, stop - start))}"))
    return tuple(bars)


def _wait_rows(trace: Trace, end: float) -> list[Row]:
    rows = []
    for index, entry in enumerate(trace.entries):
        if not isinstance(entry, Queued | Retrying):
            continue
        until = next((later.at for later in trace.entries[index + 1 :] if isinstance(later, Started)), end)
        if until <= entry.at:
            continue
        name = "queue" if isinstance(entry, Queued) else "back-off"
        bar = Bar("wait", entry.at, until, f"waiting: {duration(until - entry.at)}")
        rows.append(Row(entry.at, name, f"{duration(until - entry.at)}, {entry.reason}", "open", (bar,)))
    return rows


def _row(row: Row, end: float) -> str:
    bars = "".join(_bar(bar, end) for bar in row.bars)
    return (
        f'<div class="row"><span class="name"><span class="{row.outcome}">{_text(row.name)}</span>'
        f'<small>{_text(row.detail)}</small></span><span class="track">{bars}</span></div>'
    )


def _bar(bar: Bar, end: float) -> str:
    whole = end or 1.0
    left = 100 * bar.start / whole
    width = 100 * max(0.0, bar.end - bar.start) / whole
    return (
        f'<b class="{bar.kind}" style="left:{min(left, 99.7):.2f}%;width:{width:.2f}%" title="{_text(bar.title)}"></b>'
    )
