"""Responses and requests of real servers, as reports describe them: played through the public API.

The cases are no part of the project. They are looked for in TURNOUT_CASES, then in ../shared/cases; a runner of their
own beside them compares what is received with what is expected, whole and in pieces.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(os.environ.get("TURNOUT_CASES") or Path(__file__).resolve().parents[3] / "shared" / "cases")
# Kinds whose cases are not all right yet.
UNFINISHED: frozenset[str] = frozenset()
MISSING = f"the cases are not there: {ROOT} has no run_cases.py"


def cases(name: str) -> list[Any]:
    file = ROOT / name
    lines = file.read_text("utf-8").splitlines() if file.is_file() else []
    found = [json.loads(line) for line in lines if line.strip()]
    unfinished = pytest.mark.xfail(strict=False, reason="some cases of this kind are not right yet")
    return [
        pytest.param(case, id=case["id"], marks=[unfinished] if case["kind"] in UNFINISHED else []) for case in found
    ] or [pytest.param(None, id="missing")]


@functools.cache
def runner() -> Any:
    if not (ROOT / "run_cases.py").is_file():
        pytest.skip(MISSING)
    spec = importlib.util.spec_from_file_location("run_cases", ROOT / "run_cases.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", cases("responses.jsonl"))
def test_a_response(case: dict[str, Any] | None) -> None:
    judge = runner().judge_response
    if case is None:
        pytest.skip(MISSING)
    assert judge(case) is None


@pytest.mark.parametrize("case", cases("requests.jsonl"))
def test_a_request(case: dict[str, Any] | None) -> None:
    judge = runner().judge_request
    if case is None:
        pytest.skip(MISSING)
    assert judge(case) is None
