"""Writes the tables of docs/reference from docstrings and defaults: `python tools/reference.py`.

With `--check` it writes nothing, and fails if a page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import msgspec

from turnout import errors, events
from turnout.failures import FailureClass
from turnout.routing.policy.classify import RULES
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy, Timeouts
from turnout.trace import entries

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
GENERATED = "`python tools/reference.py` writes this page from the code.\n"


def summary(described: Any) -> str:
    """Return the first paragraph of a docstring, in one line."""
    text = inspect.cleandoc(described.__doc__ or "")
    return " ".join(text.partition("\n\n")[0].split())


def attributes(described: type) -> dict[str, str]:
    """Return the texts of the section `Attributes:` of a class, by name."""
    section = re.search(r"Attributes:\n(.*?)(?:\n\S|\Z)", inspect.cleandoc(described.__doc__ or ""), re.DOTALL)
    if section is None:
        return {}
    found = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", section[1] + "\n", re.DOTALL | re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in found}


def cell(text: str) -> str:
    """Return a text for a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("\n", " ")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(text) for text in line) + " |" for line in lines) + "\n"


def default(field: attrs.Attribute[Any]) -> str:
    """Return the default of a field, in words for a reader."""
    if field.default is attrs.NOTHING:
        return "required"
    made = getattr(field.default, "factory", None)
    if made is not None:
        return "none" if made in (dict, list, tuple) else f"`{made.__name__}()`"
    if attrs.has(type(field.default)):
        return f"`{type(field.default).__name__}(…)`"
    return "none" if field.default in (None, ()) else f"`{field.default!r}`"


def fields(described: type) -> str:
    """Return the table of the fields of an attrs class."""
    texts = attributes(described)
    rows = [(f"`{f.name}`", default(f), texts.get(f.name, "")) for f in attrs.fields(described) if f.name[0] != "_"]
    return table(["Field", "Default", "Meaning"], rows)


def section(described: type, body: str) -> str:
    """Return a section about one class."""
    return f"## {described.__name__}\n\n{summary(described)}\n\n{body}"


def settings_page() -> str:
    """Return the page about everything that a router can be given."""
    kinds = (Policy, Timeouts, BreakerPolicy, Limit, Hedge)
    head = (
        "# Settings\n\n"
        f"{GENERATED}\n"
        "Give them to `Router(...)`, to `Router.from_env(...)`, to a route, or to one call as `policy=Policy(...)`. "
        "In a [file](configuration.md) they are written in camel case: `maxRetries: 3`. "
        "Only a router can have the settings that are marked with \\*.\n"
    )
    return "\n".join([head, *(section(kind, fields(kind)) for kind in kinds)])


def rules_page() -> str:
    """Return the page about what follows each class of failure."""
    rows = [
        (f"`{kind}`", rule.action, "yes" if rule.health else "", f"{rule.cooldown:g} s" if rule.cooldown else "")
        for kind, rule in ((kind, RULES[kind]) for kind in FailureClass)
    ]
    return (
        f"# Failure classes\n\n{GENERATED}\n"
        "Each failed attempt has one class. The class decides the next step, unless `Policy.rules` has another rule "
        "for it: `rules={'content-filter': 'fallback', 'groq:rate-limit': 'fallback'}`.\n\n"
        "* `retry`: the same candidate again after a back-off, while retries are left; then the next candidate.\n"
        "* `fallback`: the next candidate at once.\n"
        "* `raise`: the caller gets the error.\n\n"
        + table(["Class", "Action", "Counts against health", "Cooldown"], rows)
    )


def errors_page() -> str:
    """Return the page about the errors, as a tree."""
    lines = [
        f"# Errors\n\n{GENERATED}",
        "A call that fails raises one of these classes. Every one has `.trace`, and `.partial` if a part of the "
        "response arrived.\n",
        "A wrong argument is a `ValueError` or a `TypeError`, and so is a wrong setting (`SettingsError`) and an "
        "answer that `reply.parsed(…)` cannot read: they have no trace. A service that takes messages of others makes "
        "the `ChatRequest` first, and answers these two classes as a mistake of its client.\n",
    ]

    def describe(kind: type[errors.TurnoutError], depth: int) -> None:
        lines.append(f"{'    ' * depth}* `{kind.__name__}`: {summary(kind)}")
        for name, text in attributes(kind).items():
            lines.append(f"{'    ' * (depth + 1)}* `.{name}`: {text}")
        children: list[type[errors.TurnoutError]] = kind.__subclasses__()
        for child in children:
            if child.__module__ == errors.__name__:
                describe(child, depth + 1)

    describe(errors.TurnoutError, 0)
    return "\n".join([*lines, ""])


def events_page() -> str:
    """Return the page about the events of a stream."""
    parts = [
        f"# Events of a stream\n\n{GENERATED}\n"
        "`event.type` is a string, and `event.done` is true for the last event only. `match event: case Token(delta):` "
        "works too.\n"
    ]
    kinds: list[Any] = [kind for kind in vars(events).values() if getattr(kind, "__module__", "") == events.__name__]
    for kind in kinds:
        if isinstance(kind, type) and attrs.has(kind):
            name, type_ = kind.__name__, vars(kind)["type"]
            parts.append(f"## {name}\n\n`type`: `{type_}`. {summary(kind)}\n\n{fields(kind)}")
    return "\n".join(parts)


def trace_page() -> str:
    """Return the page about the entries of a trace."""
    parts = [
        f"# Entries of a trace\n\n{GENERATED}\n"
        "`reply.trace.entries` and `error.trace.entries` hold them in order. `at` is in seconds from the start of the "
        "call. `trace.explain()` writes them as text; `trace.to_dict()` returns plain values for JSON.\n"
    ]
    kinds: list[Any] = [kind for kind in vars(entries).values() if hasattr(kind, "kind")]
    for kind in kinds:
        texts = attributes(kind)
        rows = [(f"`{field.name}`", texts.get(field.name, "")) for field in msgspec.structs.fields(kind)]
        parts.append(f"## `{kind.kind}`\n\n{summary(kind)}\n\n{table(['Field', 'Meaning'], rows)}")
    return "\n".join(parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "failure-classes.md": rules_page,
    "errors.md": errors_page,
    "events.md": events_page,
    "trace.md": trace_page,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or check them."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--check", action="store_true", help="fail if a page is out of date")
    check = options.parse_args(arguments).check
    stale = []
    for name, make in PAGES.items():
        path = FOLDER / name
        if check and (not path.is_file() or path.read_text(encoding="utf-8") != make()):
            stale.append(name)
        elif not check:
            path.write_text(make(), encoding="utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)}; run python tools/reference.py", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
