"""The worlds of the table, each with its figure and the bound that it must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from benchmarks.strategies.server import ServerConfig, constant, lognormal
from benchmarks.strategies.world import World, quantile
from turnout.routing.policy.routes import Strategy
from turnout.routing.policy.settings import Hedge, Limit, Policy
from turnout.simulation import Fault, Spread

__all__ = ["ROWS", "Row", "unequal"]

# A slow answer of a provider that is otherwise quick.
TAIL = (Fault(kind="slow", share=0.03, factor=15.0),)


@attrs.frozen
class Row:
    """One line of the table.

    Attributes:
        title: What happens in the world.
        unit: Of the figure.
        measure: Plays the world with a seed and a factor for its length, and returns the figure.
        bound: The figure that is good enough.
        at_least: True if larger is better.
    """

    title: str
    unit: str
    measure: Callable[[int, float], float]
    bound: float
    at_least: bool = False

    def reached(self, figure: float) -> bool:
        return figure >= self.bound if self.at_least else figure <= self.bound


def _refusing(count: int) -> Callable[[int, float], float]:
    def measure(seed: int, scale: float) -> float:
        faults = (Fault(kind="status", status=503),)
        servers = [ServerConfig(name=name, faults=faults) for name in "ABCD"[:count]]
        world = World(servers=servers, users=100, duration=30 * scale, seed=seed).run()
        return world.requests / len(world.records)

    return measure


def _metastable(routers: int) -> Callable[[int, float], float]:
    """Return the seconds from the end of the trouble to the last call that fails."""

    def measure(seed: int, scale: float) -> float:
        slow = Fault(kind="slow", begins=20, ends=35, factor=10.0)
        server = ServerConfig(
            name="A",
            first_token=lognormal(0.4, 0.8),
            per_token=constant(0.005),
            tokens=constant(100),
            slots=20,
            queue=10,
            refusal_work=0.4,
            faults=(slow,),
        )
        world = World(servers=[server], rate=15, duration=120, routers=routers, seed=seed).run()
        return max((record.began for record in world.failed), default=35.0) - 35.0

    return measure


def unequal() -> list[ServerConfig]:
    """Return four providers that queue without bound: the quicker one is, the fewer requests it serves at once."""
    kinds: Sequence[tuple[str, Spread, float, int, float]] = (
        ("A", lognormal(0.3, 0.8), 0.005, 8, 3.0),
        ("B", lognormal(0.5, 1.2), 0.010, 24, 2.0),
        ("C", lognormal(1.0, 2.5), 0.025, 48, 1.0),
        ("D", lognormal(2.0, 5.0), 0.040, 64, 0.5),
    )
    return [
        ServerConfig(name=name, first_token=first, per_token=constant(pace), slots=slots, slowdown=0.5, price=price)
        for name, first, pace, slots, price in kinds
    ]


def _queueing(strategy: Strategy, routers: int, *, failed: bool) -> Callable[[int, float], float]:
    """Return the share of failed calls in percent, or the 95th percentile of the times to the first token."""

    def measure(seed: int, scale: float) -> float:
        calls = (1500 if routers == 1 else 3000) * scale
        world = _played(strategy, routers, calls, seed)
        return 100 * len(world.failed) / len(world.records) if failed else quantile(world.first_tokens, 0.95)

    return measure


_PLAYED: dict[tuple[object, ...], World] = {}


def _played(strategy: Strategy, routers: int, calls: float, seed: int) -> World:
    """Return a world that two rows read. It is played once."""
    key = (strategy, routers, calls, seed)
    if key not in _PLAYED:
        servers = unequal()
        rate = 0.5 * sum(server.capacity for server in servers)
        _PLAYED[key] = World(
            servers=servers, strategy=strategy, rate=rate, calls=calls, routers=routers, seed=seed
        ).run()
    return _PLAYED[key]


def _healthy(seed: int, scale: float) -> float:
    """Return the share of the first candidate, which has no queue but mixed requests, in percent.

    The second one is always quicker.
    """
    servers = [
        ServerConfig(name="A", first_token=lognormal(1.0, 5.0)),
        ServerConfig(name="B", first_token=lognormal(0.3, 0.6)),
    ]
    world = World(servers=servers, rate=5, calls=1200 * scale, seed=seed).run()
    return 100 * sum(record.answered_by == "A" for record in world.records) / len(world.records)


def _limited(per_minute: float, *, announces: bool = False, configured: bool = False) -> Callable[[int, float], float]:
    """Return the share of requests that a provider with a limit of 60 a minute refuses, in percent."""

    def measure(seed: int, scale: float) -> float:
        server = ServerConfig(name="A", first_token=lognormal(0.5, 1.2), requests_per_minute=60, announces=announces)
        policy = Policy(limits={"A": Limit(requests_per_minute=60)}) if configured else Policy()
        world = World(servers=[server], policy=policy, rate=per_minute / 60, duration=240 * scale, seed=seed).run()
        return 100 * world.refused / world.requests

    return measure


def _hang(seed: int, scale: float) -> float:
    """Return the share of streams that take over 15 s while the first candidate hangs for a minute, in percent."""
    hang = Fault(kind="hang", begins=20, ends=80)
    servers = [
        ServerConfig(name="A", faults=(hang,)),
        ServerConfig(name="B", first_token=lognormal(0.5, 1.5)),
    ]
    world = World(servers=servers, rate=5, duration=120, seed=seed).run()
    return 100 * sum(record.took > 15 for record in world.records) / len(world.records)


def _whole_answers(count: int, hanging: int) -> Callable[[int, float], float]:
    """Return the share of calls for a whole answer that get one within 60 s, in percent."""

    def measure(seed: int, scale: float) -> float:
        servers = [
            ServerConfig(
                name=name,
                first_token=lognormal(0.5, 1.5),
                per_token=constant(0.02),
                tokens=lognormal(400, 1200),
                faults=(Fault(kind="hang"),) if number < hanging else (),
            )
            for number, name in enumerate("ABCD"[:count])
        ]
        world = World(
            servers=servers, policy=Policy(breaker=None), kind="chat", rate=2, calls=300 * scale, seed=seed
        ).run()
        return 100 * (1 - len(world.failed) / len(world.records))

    return measure


def _returns(seed: int, scale: float) -> float:
    """Return the share of the faster provider, from 3 minutes after its bad minute on, in percent."""
    slow = Fault(kind="slow", begins=120, ends=180, factor=15.0)
    servers = [
        ServerConfig(name="A", tokens=constant(150), faults=(slow,)),
        ServerConfig(name="B", tokens=constant(150), first_token=lognormal(0.9, 2.4), per_token=constant(0.02)),
    ]
    world = World(servers=servers, strategy="lowest-latency", rate=0.1, duration=1500, seed=seed).run()
    late = [record for record in world.records if record.began >= 360]
    return 100 * sum(record.answered_by == "A" for record in late) / len(late)


def _tokens_used(seed: int, scale: float) -> float:
    """Return how much of 6,000 tokens a minute is used if each request has max_tokens 4,096, in percent."""
    policy = Policy(limits={"A": Limit(tokens_per_minute=6000)})
    server = ServerConfig(name="A", first_token=lognormal(0.5, 1.2))
    world = World(servers=[server], policy=policy, rate=0.6, duration=300, max_tokens=4096, seed=seed).run()
    used = sum(record.tokens for record in world.records if 60 <= record.began + record.took < 300)
    return 100 * used / 4 / 6000


def _one_dead(seed: int, scale: float) -> float:
    dead = Fault(kind="status", status=500, begins=30)
    servers = [
        ServerConfig(
            name=name, first_token=lognormal(0.5, 1.2), slots=40, slowdown=0.5, faults=(dead,) if name == "A" else ()
        )
        for name in "ABCD"
    ]
    world = World(servers=servers, strategy="round-robin", rate=40, calls=3000 * scale, seed=seed).run()
    return quantile(world.first_tokens, 0.95)


def _recovery(outage: float) -> Callable[[int, float], float]:
    """Return the seconds from the end of an outage to the first call that the candidate answers again."""

    def measure(seed: int, scale: float) -> float:
        end = 30 + outage
        servers = [
            ServerConfig(name="A", per_token=constant(0.005), faults=(Fault(kind="status", begins=30, ends=end),)),
            ServerConfig(name="B", per_token=constant(0.005), first_token=lognormal(0.5, 1.5)),
        ]
        world = World(servers=servers, rate=4.0 if outage < 500 else 1.0, duration=end + 60, seed=seed).run()
        return min(record.began for record in world.records if record.began >= end and record.answered_by == "A") - end

    return measure


def _slow_tail(seed: int, scale: float) -> float:
    """Return by how much the default hedge shortens the 99th percentile of the first token, in percent."""
    servers = [
        ServerConfig(name=name, first_token=lognormal(0.4, 0.9), tokens=constant(60), faults=TAIL) for name in "AB"
    ]
    p99 = [
        quantile(
            World(servers=servers, policy=Policy(hedge=hedge), rate=5, calls=2500 * scale, seed=seed)
            .run()
            .first_tokens,
            0.99,
        )
        for hedge in (None, Hedge())
    ]
    return 100 * (1 - p99[1] / p99[0])


def _equals(seed: int, scale: float) -> float:
    """Return the mean time to the first token with four equal providers at 85 % of their capacity."""
    servers = [ServerConfig(name=name, first_token=lognormal(0.5, 1.2), slots=24, slowdown=0.5) for name in "ABCD"]
    rate = 0.85 * sum(server.capacity for server in servers)
    world = World(
        servers=servers, strategy="lowest-latency", routers=20, rate=rate, calls=4000 * scale, seed=seed
    ).run()
    return sum(world.first_tokens) / len(world.first_tokens)


def _rows() -> Mapping[str, Row]:
    rows = {
        "refuse-2": Row("both candidates refuse: requests per call", "", _refusing(2), 1.1),
        "refuse-4": Row("all four candidates refuse: requests per call", "", _refusing(4), 1.1),
        "overload-1": Row("slow for 15 s at 70 % load: last failure after that", "s", _metastable(1), 40),
        "overload-20": Row("the same, 20 routers", "s", _metastable(20), 40),
    }
    queueing: Sequence[tuple[Strategy, int, float]] = (
        ("ordered", 1, 5),
        ("ordered", 20, 16),
        ("cheapest", 1, 5),
        ("cheapest", 20, 16),
    )
    for strategy, routers, p95 in queueing:
        title = f"{strategy}, the first queues without bound, routers: {routers}"
        rows |= {
            f"{strategy}-{routers}-failed": Row(f"{title}: failed", "%", _queueing(strategy, routers, failed=True), 0),
            f"{strategy}-{routers}-p95": Row(f"{title}: p95", "s", _queueing(strategy, routers, failed=False), p95),
        }
    rows |= {
        "limit-54": Row("54 calls/min on a limit of 60: refused requests", "%", _limited(54), 2),
        "limit-120": Row("120 calls/min on a limit of 60: refused requests", "%", _limited(120), 2),
        "headers-54": Row("54 calls/min, the limit in headers", "%", _limited(54, announces=True), 2),
        "headers-120": Row("120 calls/min, the limit in headers", "%", _limited(120, announces=True), 2),
        "configured": Row("120 calls/min, the limit configured", "%", _limited(120, configured=True), 0),
        "hang": Row("the first candidate hangs: streams over 15 s", "%", _hang, 5),
    }
    for count, hanging, bound in ((2, 1, 97), (3, 2, 90), (4, 2, 96), (4, 3, 80)):
        title = f"whole answers, {hanging} of {count} hang: answered in 60 s"
        rows[f"whole-{hanging}-of-{count}"] = Row(title, "%", _whole_answers(count, hanging), bound, at_least=True)
    return rows | {
        "healthy": Row("the first candidate varies, and has no queue: its share", "%", _healthy, 90, at_least=True),
        "returns": Row("lowest-latency, 0.1 calls/s: share of the faster one", "%", _returns, 70, at_least=True),
        "tokens": Row("6,000 tokens/min with max_tokens 4,096: used", "%", _tokens_used, 95, at_least=True),
        "one-dead": Row("round-robin, one of four dead: p95 first token", "s", _one_dead, 8),
        "back-60": Row("back after an outage of 60 s", "s", _recovery(60), 12),
        "back-600": Row("back after an outage of 600 s", "s", _recovery(600), 15),
        "tail": Row("the default hedge on a slow tail of 3 %: p99 shorter by", "%", _slow_tail, 80, at_least=True),
        "equals": Row("four equal providers, 85 % load, 20 routers: mean first token", "s", _equals, 0.85),
    }


ROWS: Mapping[str, Row] = _rows()
