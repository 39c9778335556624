"""The transports that the documentation shows keep the rules of the conformance checks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import turnout_io.asyncio
import turnout_io.sync
from tests.docs.pages import ROOT, programs
from turnout_io.conformance import (
    ALL_CHECKS,
    Check,
    Outcome,
    Result,
    check_async_transport,
    check_transport,
)
from turnout_sandbox import Sandbox

PAGE = ROOT / "docs" / "extend" / "transport.md"
PROGRAMS = [
    program.code for program in programs(PAGE) if re.search(r"^class \w+Transport:", program.code, re.MULTILINE)
]
# What these libraries leave to the garbage collector, which warns of it: httpcore does not close the socket of a TLS
# handshake that fails or is cancelled, nor the async generators of a body that is left.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def table() -> dict[str, dict[str, str]]:
    """Return the table of the page: for each transport its label for each rule that some of them keep in part."""
    lines = PAGE.read_text("utf-8").splitlines()
    start = next(
        number for number, line in enumerate(lines) if line.startswith("| rule | what it says | `HttpxTransport`")
    )
    names = re.findall(r"`(\w+)`", lines[start])
    labels: dict[str, dict[str, str]] = {name: {} for name in names}
    for line in itertools.takewhile(lambda line: line.startswith("| `"), lines[start + 2 :]):
        rule, description, *cells = line.strip("| ").split(" | ")
        assert description == next(check.description for check in ALL_CHECKS if f"`{check.rule}`" == rule)
        for name, label in zip(names, cells, strict=True):
            labels[name][rule.strip("`")] = label
    return labels


def shown(library: str = "httpx") -> Iterator[tuple[str, Callable[..., Any], str]]:
    """Yield each transport of the page: its name, its class, and the code of its classes.

    Args:
        library: The library in place of httpx: the page says that only the import differs.
    """
    for program in PROGRAMS:
        program = program.replace("import httpx\n", f"import {library} as httpx\n")
        start = re.search(r"^(with|async def main|asyncio\.run)", program, re.MULTILINE)
        assert start is not None
        code = program[: start.start()]
        names: dict[str, Any] = {}
        exec(compile(code, str(PAGE), "exec"), names)
        name = re.findall(r"^class (\w+Transport):", code, re.MULTILINE)[0]
        yield name, names[name], code[code.index("class ") :]


TRANSPORTS = list(shown())
OVER_HTTPX2 = [(name, factory, code) for name, factory, code in shown("httpx2") if "Httpx" in name]
RUNS = [
    pytest.param(name, factory, run, id=f"{name}-{library}{run}")
    for library, transports in (("", TRANSPORTS), ("httpx2-", OVER_HTTPX2))
    for name, factory, _ in transports
    for run in (("trio", "asyncio") if name.startswith("Async") else ("blocking",))
]


@pytest.mark.full
@pytest.mark.parametrize(("name", "factory", "run"), RUNS)
def test_shown_transport_keeps_the_rules(name: str, factory: Callable[..., Any], run: str) -> None:
    def one(check: Check) -> Result:
        if run == "blocking":
            return next(check_transport(factory, [check]))
        return next(check_async_transport(factory, run, [check]))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # the checks mostly wait
        results = list(pool.map(one, ALL_CHECKS))
    gc.collect()  # while the warnings above are passed over
    assert [(result.rule, result.detail) for result in results if result.outcome is Outcome.FAILED] == []
    in_part = {result.rule: result.label for result in results if result.strictness is not None}
    # httpx leaves the socket of a handshake that was cancelled to the garbage collector, which may come in time.
    in_part.pop("cancel.in-tls", None)
    assert in_part == {rule: label for rule, label in table()[name].items() if label != "kept"}


@pytest.mark.parametrize(("name", "code"), [(name, code) for name, _, code in TRANSPORTS])
def test_a_transport_is_short(name: str, code: str) -> None:
    assert len([line for line in code.splitlines() if line.strip()]) <= 40, name


def test_there_is_a_transport_for_each_library() -> None:
    assert [name for name, _, _ in TRANSPORTS] == list(table())
    assert [name for name, _, _ in OVER_HTTPX2] == ["HttpxTransport", "AsyncHttpxTransport"]


@pytest.mark.parametrize(("name", "factory"), [(name, factory) for name, factory, _ in OVER_HTTPX2])
def test_a_transport_over_httpx2_answers(name: str, factory: Callable[..., Any]) -> None:
    made_by: Any = factory.__init__
    assert made_by.__globals__["httpx"].__name__ == "httpx2"
    with Sandbox() as sandbox:
        settings: dict[str, Any] = {"environ": sandbox.environ(), "dotenv": None, "transport": factory()}
        if name.startswith("Async"):

            async def ask() -> str:
                async with turnout_io.asyncio.Router.from_env(**settings) as router:
                    return (await router.chat("openai/gpt-4o-mini", "hi")).text

            assert asyncio.run(ask())
        else:
            with turnout_io.sync.Router.from_env(**settings) as router:
                assert router.chat("openai/gpt-4o-mini", "hi").text
