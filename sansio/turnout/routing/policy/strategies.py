"""The order in which the choices of a route are tried. The given generator is the only source of chance."""

from __future__ import annotations

import hashlib
import itertools
import math
import operator
import random
from collections.abc import Iterable, Sequence

from turnout.routing.policy.routes import Measured, Strategy

__all__ = ["SPREADING", "order_by_affinity", "order_choices"]


# The strategies that spread calls. The others use the first free choice in an order that does not change.
SPREADING = frozenset({"weighted", "round-robin", "least-busy", "lowest-latency"})


def order_choices(
    strategy: Strategy, measured: Sequence[Measured], turn: int, rng: random.Random, affinity: str | None = None
) -> list[int]:
    """Return the indexes of `measured` in the order of trying: tier by tier, by the strategy within each tier.

    Args:
        strategy: The strategy of the route.
        measured: Its choices.
        turn: How many calls the route has had, for `round-robin`.
        rng: The only source of chance.
        affinity: Calls with the same text get the same order within a tier; None lets the strategy decide.
    """
    by_tier = sorted(range(len(measured)), key=lambda index: measured[index].choice.tier)
    order: list[int] = []
    for _, group in itertools.groupby(by_tier, key=lambda index: measured[index].choice.tier):
        indexes = list(group)
        items = [measured[index] for index in indexes]
        if affinity is not None:
            names, weights = [str(item.choice.model) for item in items], [item.choice.weight for item in items]
            order += [indexes[position] for position in order_by_affinity(affinity, names, weights)]
        else:
            order += _order_tier(strategy, indexes, items, turn, rng)
    return order


def order_by_affinity(affinity: str, names: Sequence[str], weights: Sequence[float]) -> list[int]:
    """Return the indexes of candidates in the order of their scores for a text, the highest first.

    This is rendezvous hashing (Thaler and Ravishankar, 1998) with weights: each candidate has one score for each
    text. If a candidate is removed, only the texts for which it was the first candidate move to another one.
    """
    scores = []
    for name, weight in zip(names, weights, strict=True):
        digest = hashlib.blake2b(f"{affinity}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
        share = (int.from_bytes(digest, "big") + 1) / (2**64 + 1)  # above 0 and below 1
        scores.append(-weight / math.log(share))
    return sorted(range(len(names)), key=lambda index: (-scores[index], index))


def _order_tier(
    strategy: Strategy, places: list[int], measured: list[Measured], turn: int, rng: random.Random
) -> list[int]:
    if callable(strategy):
        return _custom(strategy(measured), places)
    match strategy:
        case "ordered":
            return places
        case "weighted":
            # The order of a weighted draw without replacement is that of u ** (1 / weight), drawn for each
            # (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006), or of its logarithm, which
            # keeps small weights apart if the power is 0. Weights of 0 are last, in an order by chance.
            heaviest = max(item.choice.weight for item in measured)
            shares = [item.choice.weight / heaviest if heaviest > 0 else 0.0 for item in measured]
            return _sorted(places, [rng.expovariate(share) if share > 0 else math.inf for share in shares], rng)
        case "round-robin":
            # The others in any order: in a fixed one, the next would get all calls that a dead candidate misses.
            first = turn % len(places)
            rest = places[:first] + places[first + 1 :]
            rng.shuffle(rest)
            return [places[first], *rest]
        case "least-busy":
            return _sorted(places, [item.in_flight for item in measured], rng)
        case "lowest-latency":
            return _two_choices(places, [item.latency for item in measured], rng)
        case "cheapest":
            # A choice without a known price may cost anything, so it is last.
            return _sorted(places, [item.price if item.price is not None else float("inf") for item in measured])


def _two_choices(places: list[int], scores: list[float], rng: random.Random) -> list[int]:
    """Return the better of two that are drawn at random, then the others by score.

    Always taking the best sends every client to it at once; two choices spread them (Mitzenmacher, "The power of two
    choices in randomized load balancing", 2001).
    """
    if len(places) < 2:
        return places
    drawn = rng.sample(range(len(places)), 2)
    first = min(drawn, key=scores.__getitem__)
    rest = [index for index in range(len(places)) if index != first]
    rest.sort(key=scores.__getitem__)
    return [places[first], *(places[index] for index in rest)]


def _sorted(places: list[int], keys: Sequence[float], rng: random.Random | None = None) -> list[int]:
    """Return them sorted by key; equal ones in their order, or in a random order if `rng` is given."""
    ties = [rng.random() for _ in places] if rng is not None else [0.0] * len(places)
    return [places[index] for index in sorted(range(len(places)), key=lambda index: (keys[index], ties[index]))]


def _custom(returned: object, places: list[int]) -> list[int]:
    """Return the order of a user's function: each index at most once, then the others in their order."""
    if not isinstance(returned, Iterable):
        raise TypeError(f"the route's strategy returned {returned!r}; it must return places among its choices")
    order: dict[int, None] = {}
    for place in returned:
        try:
            index = operator.index(place)  # the whole numbers of other libraries are places, too
        except TypeError:
            index = -1
        if not 0 <= index < len(places):
            raise ValueError(
                f"the route's strategy returned {place!r}, which is no place among its {len(places)} choices"
            )
        order[index] = None
        if len(order) == len(places):
            break  # all have their place, so the rest has no effect
    order |= dict.fromkeys(range(len(places)))
    return [places[index] for index in order]
