"""The code in hints is right: every name, every keyword and every strategy in it exists."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest

import turnout
import turnout.errors
import turnout.messages
import turnout.providers
import turnout.routing
import turnout.trace
import turnout_io.asyncio
import turnout_io.caching
import turnout_io.metrics
import turnout_io.otel
import turnout_io.sync
from turnout._utils.hints import attributes as hints_for_attributes
from turnout._utils.hints import keywords as hints_for_keywords
from turnout._utils.hints import names as hints_for_names
from turnout._utils.names import Elsewhere
from turnout.inputs import keywords
from turnout.routing import Policy
from turnout.routing.policy.routes import STRATEGIES


def texts() -> Iterator[str]:
    """Return every advice of the tables and of the classes."""
    for module in (hints_for_keywords, hints_for_attributes, hints_for_names, keywords):
        for value in vars(module).values():
            yield from strings(value)
    for owner in (turnout.Image, turnout.Audio, turnout.File, turnout.Tool, turnout.Message, turnout_io.sync.Router):
        for base in owner.__mro__:
            yield from (each._advice for each in vars(base).values() if isinstance(each, Elsewhere))


def strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from strings(each)


ADVICES = sorted({text.replace("{0}", "base_url") for text in texts() if " " in text and "{}" not in text})

NAMES: dict[str, Any] = {
    "Router": turnout_io.sync.Router,
    "router": turnout_io.sync.Router,
    "reply": turnout.ChatResponse,
    "usage": turnout.Usage,
    "trace": turnout.trace.Trace,
    "stream": turnout_io.sync.ChatStream,
    "turnout": turnout,
    "turnout_io": turnout_io,
    "MemoryCache": turnout_io.caching.MemoryCache,
    **{name: getattr(turnout, name) for name in turnout.__all__},
    **{name: getattr(turnout.routing, name) for name in turnout.routing.__all__},
}


def snippets(text: str) -> Iterator[ast.expr]:
    """Return the calls in a text."""
    for found in re.finditer(r"(?<![\w.'\"/])[A-Za-z_][\w.]*\(", text):
        depth, end = 1, found.end()
        while depth and end < len(text):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        assert not depth, f"a parenthesis is open in {text!r}"
        yield ast.parse(text[found.start() : end].replace(", …)", ")").replace("…", "..."), mode="eval").body


def value_of(node: ast.expr) -> Any:
    """Return what a name stands for; None if it is the caller's own."""
    if isinstance(node, ast.Name):
        return NAMES.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = value_of(node.value)
        if owner is None or isinstance(owner, property):
            return None
        return member(owner, node.attr)
    return None


def member(owner: Any, name: str) -> Any:
    if isinstance(owner, type) and attrs.has(owner) and name in attrs.fields_dict(owner):
        return property()
    if owner is turnout_io.sync.Router and not hasattr(owner, name):
        owner = turnout_io.asyncio.Router  # `aclose`
    return getattr(owner, name)


def check(call: ast.Call) -> None:
    function = value_of(call.func)
    if function is None or isinstance(function, property):
        return
    signature = inspect.signature(function)
    given = {each.arg: each.value for each in call.keywords if each.arg is not None}
    free = next((each for each in signature.parameters.values() if each.kind is each.VAR_KEYWORD), None)
    known = set(signature.parameters)
    initialiser = getattr(function, "__init__", None)
    if inspect.isfunction(initialiser):  # of a class, where some Pythons show `__new__` in its place
        known |= set(inspect.signature(initialiser).parameters)
    if free is not None:
        known |= keywords.MODEL | keywords.REQUEST | set(keywords.CALL)
        known |= {field.name for field in attrs.fields(Policy)} | {"base_url", "headers"}
    assert given.keys() <= known, f"{ast.unparse(call)} has {given.keys() - known}"
    strategy = given.get("strategy")
    if isinstance(strategy, ast.Constant) and isinstance(strategy.value, str):
        assert strategy.value in STRATEGIES


@pytest.mark.parametrize("text", ADVICES)
def test_the_code_of_a_hint_uses_names_that_exist(text: str) -> None:
    for expression in snippets(text):
        for node in ast.walk(expression):
            if isinstance(node, ast.Call):
                check(node)
    for module, names in re.findall(r"from (turnout[\w.]*) import (\w+(?:, [A-Z]\w+)*)", text):
        for name in names.split(", "):
            assert getattr(importlib.import_module(module), name)
    for dotted in re.findall(r"\b(turnout(?:_io)?(?:\.\w+)+)\b(?!')", text):
        place: Any = turnout_io if dotted.startswith("turnout_io") else turnout
        for name in dotted.split(".")[1:]:
            place = getattr(place, name)
    for owner, path in re.findall(r"\b(reply|usage|trace|stream|router|Router)\.(\w+)", text):
        member(NAMES[owner], path)


@pytest.mark.parametrize(
    "wrong", ["Route('x', […], strategy='latency')", "Router(…, polcy=Policy(timeout=…))", "Policy(max_retrys=…)"]
)
def test_the_check_finds_a_wrong_strategy_and_a_wrong_keyword(wrong: str) -> None:
    expression = next(snippets(wrong))
    assert isinstance(expression, ast.Call)
    with pytest.raises(AssertionError):
        check(expression)
