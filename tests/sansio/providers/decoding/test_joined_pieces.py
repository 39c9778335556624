"""Pieces of a text that are joined now and then: nothing else changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnout._utils.growing_text import _MOST_PIECES, GrowingText
from turnout.providers.decoding.parts import PartBuilder
from turnout.providers.decoding.tool_call_fragments import CallBuilder
from turnout.providers.openai_chat.message.text_so_far import TextSoFar

# A piece, whether the pieces are joined after it, and whether somebody looks at them then.
STEPS = st.lists(st.tuples(st.text("ab{}\"1:,", max_size=3), st.booleans(), st.booleans()), max_size=30)  # fmt: skip


@given(STEPS)
def test_the_pieces_of_a_call(steps: list[tuple[str, bool, bool]]) -> None:
    joined, plain = CallBuilder("c"), CallBuilder("c")
    for piece, joins, looks in steps:
        joined.append(piece)
        plain.append(piece)
        if joins:
            joined.join()
        if looks:
            assert joined.is_whole == plain.is_whole
    assert joined.build("m", cut=False) == plain.build("m", cut=False)


@given(st.lists(STEPS, max_size=3))
def test_a_text_that_is_repeated(parts: list[list[tuple[str, bool, bool]]]) -> None:
    so_far, builders = TextSoFar("text"), [PartBuilder("reasoning", ["r"])]
    text = ""
    for steps in parts:
        part = PartBuilder("text")
        builders.append(part)
        for piece, joins, looks in steps:
            part.pieces.append(piece)
            text += piece
            if joins:
                for builder in builders:
                    builder.join()
            if looks:
                assert so_far.rest_of(f"{text}+", builders) == "+"
        builders.append(PartBuilder("reasoning", ["r", "s"]))
    assert so_far.rest_of(f"{text}+", builders) == "+"
    assert so_far.rest_of(f"x{text}", builders) == (None if text else "x")


@given(st.integers(0, 3 * _MOST_PIECES))
def test_a_growing_text(count: int) -> None:
    text = GrowingText()
    assert not text
    for number in range(count):
        text.add(str(number))
    whole = "".join(map(str, range(count)))
    assert str(text) == whole
    assert text.size == len(whole)
    assert bool(text) == bool(count)
