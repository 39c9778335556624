"""Embeddings in several requests, and lists of models over several pages."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sansio.routing.call.world import World, failing
from tests.sansio.routing.line_dialect import LineProvider
from turnout import errors
from turnout.chat import Capability, ModelConfig
from turnout.embeddings import EmbeddingRequest
from turnout.errors import (
    RemoteProtocolError,
)
from turnout.routing.call.operations import Embed, ListModels
from turnout.routing.commands import Finish
from turnout.routing.router import RouterCore
from turnout.simulation import Outcome, Script


def vectors(*rows: list[float]) -> Script:
    return Script(body=((0.0, repr([list(row) for row in rows]).encode()),))


def embed(world: World, count: int, fallback: bool = False) -> Outcome:
    family: dict[str, Any] = {"fallbacks": [ModelConfig("p1", "m")], "family": "same"} if fallback else {}
    return world.run(Embed(EmbeddingRequest(ModelConfig("p0", "m"), ["x"] * count, **family)))


def test_embeddings_are_split_and_joined_in_order() -> None:
    world = World([vectors([1], [2]), failing(500), vectors([3], [4]), vectors([5])])
    outcome = embed(world, 5)
    assert outcome.result.vectors.tolist() == [[1], [2], [3], [4], [5]]
    assert outcome.result.trace.attempts == 4
    assert outcome.result.usage.source == "absent"


def test_a_place_of_the_family_goes_on_from_there() -> None:
    world = World([vectors([1], [2]), failing(401)], [vectors([3], [4])])
    assert embed(world, 4, fallback=True).result.vectors.tolist() == [[1], [2], [3], [4]]


@pytest.mark.parametrize(
    ("second", "kind"),
    [
        (failing(401), errors.AuthenticationFailed),
        (vectors([3]), RemoteProtocolError),
        (vectors([3, 3], [4, 4]), RemoteProtocolError),
    ],
)
def test_vectors_that_came_are_on_the_error(second: Script, kind: type[Exception]) -> None:
    outcome = embed(World([vectors([1], [2]), second], max_retries=0), 4)
    assert isinstance(outcome.error, kind)
    assert outcome.error.vectors is not None
    assert outcome.error.vectors.tolist() == [[1], [2]]


def test_model_lists_go_page_after_page() -> None:
    world = World([Script(body=((0.0, b"two"),)), Script()])
    assert world.run(ListModels("p0")).result == ()
    assert [url for url, _ in world.asked] == ["p0.test/models/", "p0.test/models/two"]
    circle = World([Script(body=((0.0, b"two"),))], max_retries=0)
    outcome = circle.run(ListModels("p0"))
    assert isinstance(outcome.error, RemoteProtocolError)
    assert "twice" in str(outcome.error)
    core = RouterCore()
    core.register(LineProvider("none", capabilities=frozenset({Capability.CHAT})))
    assert isinstance(core.start(ListModels("none"), 0.0).next_command(0.0), Finish)
