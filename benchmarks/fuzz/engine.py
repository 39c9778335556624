"""Ways to search: with hypothesis, which shrinks what it finds, or in bulk, which reads many more inputs a second."""

from __future__ import annotations

import importlib.util
import random
import time

import attrs
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from benchmarks.fuzz.targets import Target

__all__ = ["Searched", "has_atheris", "search", "search_in_bulk"]

# Pieces of syntax that valid inputs have, and values that readers have stumbled over.
_TOKENS = (
    *b"\r|\n|\x00|\xff|\xef\xbb\xbf|\xff\xfe|{|}|[|]|'|\\|\\ud800|,|:|: |NaN|Infinity|1e999|-0|null".split(b"|"),
    *b'"|true|{}|[]|&a |*a|<<: *a|!!binary x|!!python/object:os|2001-99-99|0x|1_000|data: |\x1f\x8b'.split(b"|"),
    *b"event: error\n|&#1114112;|&#x110000;|\r\n0\r\n\r\n|ffffffffffffffff|\x1b[31m|\xe2\x80\xa8".split(b"|"),
    *b"Transfer-Encoding: chunked\r\n|Content-Length: 9\r\n".split(b"|"),
    *(b"9" * 400, b"9" * 5000, b"[" * 3000, b'{"a":' * 3000, b"a" * 70000),
)
_SHORT_TOKENS = tuple(token for token in _TOKENS if len(token) < 100)


@attrs.define
class Searched:
    """How much of a target was searched.

    Attributes:
        cases: Inputs that were read, each as a whole and in pieces.
        size: Bytes of all inputs together.
        seconds: How long it took.
    """

    cases: int = 0
    size: int = 0
    seconds: float = 0.0


def has_atheris() -> bool:
    """Return True if atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


@st.composite
def _inputs(draw: st.DrawFn, seeds: tuple[bytes, ...]) -> tuple[bytes, list[bytes]]:
    """Draw changed bytes of a seed, and the pieces in which they arrive."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 2, 8, 40))))
        change = draw(st.integers(0, 3))
        if change == 0:
            data[start:end] = draw(st.binary(max_size=8))
        elif change == 1:
            data[start:end] = draw(st.sampled_from(_TOKENS))
        elif change == 2:
            data[start:end] = data[start:end] * draw(st.integers(0, 3))
        else:
            data[start:end] = draw(st.sampled_from(seeds))[start : start + 60]
    whole = bytes(data)
    cuts = sorted(draw(st.lists(st.integers(0, len(whole)), max_size=4)))
    return whole, [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]


def search(target: Target, *, seconds: float = 0.0, cases: int = 1000, seed: int | None = None) -> Searched:
    """Search one target with hypothesis.

    Args:
        target: What to search.
        seconds: How long to search, in rounds of `cases` inputs. 0 means one round.
        cases: Inputs of each round.
        seed: Makes the rounds repeatable.

    Raises:
        Exception: The first finding, with the smallest input that shows it.
    """
    done, started, number = Searched(), time.monotonic(), 0

    def read(drawn: tuple[bytes, list[bytes]]) -> None:
        data, pieces = drawn
        done.cases += 1
        done.size += len(data)
        target.check(data, pieces)

    while True:
        test = given(_inputs(target.seeds))(read)
        if seed is not None:
            import hypothesis

            test = hypothesis.seed(seed + number)(test)
        settings(
            max_examples=cases,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
        )(test)()
        number += 1
        if time.monotonic() - started >= seconds:
            done.seconds = time.monotonic() - started
            return done


def search_in_bulk(target: Target, *, seconds: float, seed: int | None = None) -> Searched:
    """Search one target with random changes of its seeds, for `seconds`, but at least 50 inputs.

    Raises:
        Exception: The first finding, with the input as a note.
    """
    done, started, dice = Searched(), time.monotonic(), random.Random(seed)
    while True:
        for _ in range(50):
            data, pieces = _changed(dice, target.seeds)
            done.cases += 1
            done.size += len(data)
            try:
                target.check(data, pieces)
            except Exception as error:
                error.add_note(f"input: {data!r}; pieces of {[len(piece) for piece in pieces]} bytes")
                raise
        done.seconds = time.monotonic() - started
        if done.seconds >= seconds:
            return done


def _changed(dice: random.Random, seeds: tuple[bytes, ...]) -> tuple[bytes, list[bytes]]:
    """Return changed bytes of a seed, and the pieces in which they arrive."""
    data = bytearray(dice.choice(seeds))
    for _ in range(dice.randint(1, 6)):
        start = dice.randint(0, len(data))
        end = min(len(data), start + dice.choice((0, 0, 1, 2, 8, 40)))
        change = dice.randint(0, 4)
        if change == 0:
            data[start:end] = dice.randbytes(dice.randint(0, 8))
        elif change == 1:
            # The long ones are rare: they make the others slow.
            data[start:end] = dice.choice(_TOKENS if dice.random() < 0.02 else _SHORT_TOKENS)
        elif change == 2:
            data[start:end] = data[start:end] * dice.randint(0, 3)
        elif change == 3 and start < len(data):
            data[start] ^= 1 << dice.randint(0, 7)
        else:
            data[start:end] = dice.choice(seeds)[start : start + 60]
    whole = bytes(data)
    cuts = sorted(dice.randint(0, len(whole)) for _ in range(dice.randint(0, 4)))
    return whole, [whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
