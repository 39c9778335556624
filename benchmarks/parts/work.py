"""The work of a call and of a chunk in bytecodes, which no other load of the machine changes."""

from __future__ import annotations

import platform

from benchmarks.report import Context, Report, Table
from benchmarks.work import count_work

__all__ = ["work"]

_NOTE = (
    "A test holds these counts against bounds that are 5 % higher. A call while others wait takes as much work with "
    "100 as with 10,000 of them.",
)


def work(context: Context) -> Report:
    """Count the bytecodes in Turnout's own files."""
    rows = tuple((name, f"{count:,.0f}") for name, count in count_work().items())
    title = f"Bytecodes of {platform.python_implementation()} {platform.python_version()} in Turnout's own files"
    return Report("work in bytecodes", (Table(title, ("work", "bytecodes"), rows),), notes=_NOTE)
