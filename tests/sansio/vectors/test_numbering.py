"""Each vector of the collection, 1 to 92, has a test of its number."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

VECTORS = range(1, 93)
_NAME = re.compile(r"test_vector_(\d\d)_[a-z0-9_]+\Z")


def names() -> list[str]:
    trees = (ast.parse(path.read_text("utf-8")) for path in sorted(Path(__file__).parent.glob("test_*.py")))
    return [node.name for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]


def test_every_vector_has_its_test() -> None:
    numbers = {int(match[1]) for name in names() if (match := _NAME.match(name))}
    assert sorted(set(VECTORS) - numbers) == []
    assert sorted(numbers - set(VECTORS)) == []


def test_no_test_hides_another() -> None:
    assert [name for name, count in Counter(names()).items() if count > 1 and name.startswith("test_")] == []
