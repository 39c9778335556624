"""The line of a setting in a YAML file."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.config.places import line_of, spelled

DOCUMENT = """\
runtime:
  router:
    maxRetries: 3
    prices:
      gpt-4.1: {prompt: 1,
        completion: 2}
serve:
  keys:
    - name: a
    - name: b
      budget: 5
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("runtime", 1),
        ("runtime.router.maxRetries", 3),
        ("runtime.router.max_retries", 3),
        ("runtime.router.prices.gpt-4.1", 5),
        ("runtime.router.prices.gpt-4.1.completion", 6),
        ("runtime.router.prices.gpt-4.1.cached", 5),
        ("prices.gpt-4.1", 5),
        ("serve.keys[1].budget", 11),
        ("serve.keys[1].name.x", 10),
        ("serve.keys[7]", 8),
        ("OPENAI_API_KEY", None),
        ("prices.gpt-5", None),
        ("", None),
    ],
)
def test_places(place: str, line: int | None) -> None:
    assert line_of(DOCUMENT, place) == line


@given(st.text("abr.[]0-9 _", max_size=20))
def test_any_place_gives_a_line_of_the_file_or_none(place: str) -> None:
    for text in (DOCUMENT, "", "[1, {a: b}]", "a: {b: [{r: 1}]}"):
        assert (line_of(text, place) or 1) in range(1, 12)
        spelled(text, place)


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("runtime.router.max_retries", "runtime.router.maxRetries"),
        ("runtime.router.max_retries.x_y", "runtime.router.maxRetries.x_y"),
        ("runtime.router.prices.gpt-4.1.prompt", "runtime.router.prices.gpt-4.1.prompt"),
        ("serve.keys[1].budget", "serve.keys[1].budget"),
        ("serve.keys[7]", "serve.keys[7]"),
        ("OPENAI_API_KEY", "OPENAI_API_KEY"),
    ],
)
def test_a_place_is_spelled_as_in_the_file(place: str, written: str) -> None:
    assert spelled(DOCUMENT, place) == written
