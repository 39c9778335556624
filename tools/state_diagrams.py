"""Draws the machines of a call, an attempt and an HTTP exchange from their tables: `python tools/state_diagrams.py`.

It writes `docs/states.md`, with one Mermaid diagram for each machine. With `--check` it writes nothing, and fails if
the file is out of date.
"""

from __future__ import annotations

import argparse
import enum
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from turnout.http.states import EXCHANGE_TRANSITIONS, ExchangeState
from turnout.routing.call.states import ATTEMPT_TRANSITIONS, CALL_TRANSITIONS, AttemptState, CallState

StateT = TypeVar("StateT", bound=enum.Enum)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "states.md"
HEAD = """# State machines

`python tools/state_diagrams.py` draws this page from the tables in `sansio/turnout/routing/call/states.py` and
`sansio/turnout/http/states.py`.
"""


def diagram(title: str, start: StateT, table: Mapping[StateT, Iterable[StateT]]) -> str:
    """Return a section with the meaning of each state, and the transitions as a Mermaid diagram."""
    order = list(type(start))
    lines = [f"## {title}", "", "| State | Meaning |", "|---|---|"]
    lines += [f"| {state.name} | {state.value} |" for state in order]
    lines += ["", "```mermaid", "stateDiagram-v2", f"    [*] --> {start.name}"]
    for state in order:
        following = sorted(table[state], key=order.index)
        lines += [f"    {state.name} --> {other.name}" for other in following]
        if not following:
            lines.append(f"    {state.name} --> [*]")
    return "\n".join([*lines, "```", ""])


def page() -> str:
    """Return the whole page."""
    return "\n".join(
        [
            HEAD,
            diagram("A call is …", CallState.SELECTING, CALL_TRANSITIONS),
            diagram("An attempt is …", AttemptState.OPENING, ATTEMPT_TRANSITIONS),
            diagram("An HTTP/1.1 exchange is …", ExchangeState.NEW, EXCHANGE_TRANSITIONS),
        ]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page, or check it."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="fail if the page is out of date")
    if not options.parse_args(arguments).check:
        PAGE.write_text(page(), encoding="utf-8")
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != page():
        print(f"{PAGE} is out of date: run python tools/state_diagrams.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
