"""Counts idioms in docstrings and comments: plain sentences use few of them.

The markers are phrases that readers whose English is second read twice: free relatives as nouns ("what is left"),
speech verbs for programs ("is told"), "where" for "if". h11 has 3.6 of them in 1,000 words, trio 2.4.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("sansio/turnout", "transports/turnout_io", "transports/turnout_sandbox")
MOST_IN_1000_WORDS = 5.0

_VERBS = (
    "is was has came comes stands stood it they a an the this somebody nobody we one every follows happened keeps "
    "counts goes may should would cannot can had"
)
_SUBJECTS = (
    "it there one that the a an this nothing none nobody he they its both several some these two no not".replace(
        " ", "|"
    )
)
MARKERS = {
    "what … as a noun": rf"\b[Ww]hat (?:{_VERBS.replace(' ', '|')})\b",
    "who, whom, whose": r"\b[Ww]ho(?:m|se|ever)?\b",
    "tell": r"\b(?:told|tells?|telling)\b",
    "say": r"\b(?:sa(?:y|ys|id)|saying)\b",
    "ask": r"\bask(?:s|ed|ing)?\b",
    "where for if": rf"(?:,|;|\b) where (?:{_SUBJECTS})\b",
    "come": r"\b(?:came|comes|come)\b",
    "of its own": r"\bof (?:its|their|one's|your|a user's) own\b",
    "stand": r"\bst(?:ands?|ood)\b",
}


def texts(source: str) -> Iterator[str]:
    """Yield the docstrings and the comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield ast.get_docstring(node) or ""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string.lstrip("# ")


def counted(text: str) -> Counter[str]:
    return Counter({name: len(re.findall(pattern, text)) for name, pattern in MARKERS.items()})


def count_of(package: str) -> tuple[int, Counter[str]]:
    """Return the number of words of a package, and of each marker."""
    text = "\n".join(text for path in sorted((ROOT / package).rglob("*.py")) for text in texts(path.read_text("utf-8")))
    return len(text.split()), counted(text)


@pytest.mark.parametrize("package", PACKAGES)
def test_prose_is_plain(package: str) -> None:
    words, markers = count_of(package)
    density = 1000 * markers.total() / words
    assert density <= MOST_IN_1000_WORDS, f"{density:.1f} idioms in 1,000 words: {markers.most_common()}"


@pytest.mark.parametrize(
    ("sentence", "idioms"),
    [
        ("Return the next action. The driver performs it.", 0),
        ("What is owed is told to those who ask, where there is one.", 5),
        ("The word of its own stands here and comes back.", 3),
    ],
)
def test_each_marker_is_counted(sentence: str, idioms: int) -> None:
    assert counted(sentence).total() == idioms
