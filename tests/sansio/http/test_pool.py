"""The pool keeps its limits, uses the youngest first, and loses no connection."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.errors import LocalProtocolError
from turnout.http.pool import Pool


@attrs.define(eq=False)
class Line:
    """A stand-in for a connection; two are never equal."""

    number: int


steps = st.lists(
    st.tuples(
        st.sampled_from(["open", "take", "give", "expire", "drain"]),
        st.sampled_from("abc"),
        st.floats(0, 5, allow_nan=False),
    ),
    max_size=60,
)


@given(
    steps=steps,
    max_keepalive_connections=st.integers(0, 5),
    max_idle_per_key=st.integers(0, 3),
    keepalive_expiry=st.sampled_from([0.0, 1.0, 10.0]),
)
def test_against_a_plain_list(
    steps: list[tuple[str, str, float]], max_keepalive_connections: int, max_idle_per_key: int, keepalive_expiry: float
) -> None:
    pool: Pool[Line] = Pool(max_keepalive_connections, max_idle_per_key, keepalive_expiry)
    model: list[tuple[str, Line, float]] = []  # idle, oldest first
    used: list[tuple[str, Line]] = []
    closed: list[Line] = []
    now = 0.0
    opened = 0
    for step, key, seconds in steps:
        now += seconds
        if step == "open":
            opened += 1
            used.append((key, Line(opened)))
            continue
        if step == "give":
            if not used:
                continue
            given_key, line = used.pop(0)
            gone = pool.release(given_key, line, now)
            model.append((given_key, line, now))
            same = [entry for entry in model if entry[0] == given_key]
            if len(same) > max_idle_per_key:
                model.remove(same[0])
            model = model[max(0, len(model) - max_keepalive_connections) :]
            model = [entry for entry in model if now - entry[2] < keepalive_expiry]
            closed += gone
        elif step == "expire":
            closed += pool.evict_expired(now)
            model = [entry for entry in model if now - entry[2] < keepalive_expiry]
        elif step == "drain":
            closed += pool.clear()
            model = []
        else:
            closed += pool.evict_expired(now)
            model = [entry for entry in model if now - entry[2] < keepalive_expiry]
            youngest = next((entry for entry in reversed(model) if entry[0] == key), None)
            taken = pool.acquire(key)
            assert taken is (None if youngest is None else youngest[1])
            if youngest is not None:
                model.remove(youngest)
                used.append((key, youngest[1]))
        assert len(pool) == len(model) <= max_keepalive_connections
        # What was opened is in use, idle or closed, and in one place only.
        places = [line for _, line in used] + [entry[1] for entry in model] + closed
        assert len(places) == len({id(line) for line in places}) == opened


def test_an_idle_connection_cannot_be_given_twice() -> None:
    pool: Pool[Line] = Pool()
    line = Line(1)
    pool.release("a", line, 0.0)
    with pytest.raises(LocalProtocolError):
        pool.release("b", line, 1.0)
    assert (len(pool), pool.acquire("b"), pool.acquire("a")) == (1, None, line)


def test_many_idle_connections_cost_little() -> None:
    pool: Pool[Line] = Pool(max_keepalive_connections=2000, max_keepalive_per_key=1)
    for number in range(2000):
        pool.release(number, Line(number), float(number) / 1000)
    assert len(pool) == 2000
    assert len(pool.evict_expired(61.0)) == 1001
