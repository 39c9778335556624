"""The blocking code on disk is the one that the script generates from the async code."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from tools import unasync

pytestmark = pytest.mark.skipif(shutil.which("ruff") is None, reason="ruff formats the generated files")


def test_blocking_code_is_up_to_date() -> None:
    assert unasync.differences(unasync.generate(unasync.FOLDERS)) == []


def test_check_reports_changed_missing_and_extra_files(tmp_path: Path) -> None:
    files = {tmp_path / "same.py": "a = 1\n", tmp_path / "changed.py": "a = 1\n", tmp_path / "missing.py": "a = 1\n"}
    for name, text in (("same", "a = 1\n"), ("changed", "a = 2\n"), ("extra", ""), ("__init__", "")):
        (tmp_path / f"{name}.py").write_text(text)
    changed, missing, extra = unasync.differences(files)
    assert "-a = 2\n+a = 1\n" in changed
    assert "missing.py" in missing
    assert "extra.py" in extra


def test_no_async_syntax_is_left() -> None:
    for text in unasync.generate(unasync.FOLDERS).values():
        kinds = (ast.Await, ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith)
        assert not [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]


def test_replacement_without_effect_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="change nothing"):
        unasync.generate([tmp_path])
