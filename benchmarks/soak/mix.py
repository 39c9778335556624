"""What goes wrong on the server's side, and what the callers do: drawn by chance, the same for the same seed."""

from __future__ import annotations

import enum
import itertools
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import attrs

from benchmarks.own_process import own_process, wait_for_the_end
from benchmarks.soak.profile import Profile
from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.providers import create
from turnout.providers.protocol import Provider
from turnout.routing.policy.settings import OnInterrupt
from turnout_io.sandbox import Abort, Corruption, Fault, Received, Sandbox

__all__ = ["MODELS", "Act", "Server", "Wish", "answer_of", "served", "wishes"]

MODELS = (
    ModelConfig("openai", "gpt-4o-mini"),
    ModelConfig("gemini", "gemini-2.5-flash"),
    ModelConfig("anthropic", "claude-haiku-4-5"),
)
_NUMBER = re.compile(rb"number (\d+),")


def answer_of(provider: str, number: int, tokens: int) -> str:
    """What a provider says to the call of this number: a word is a token, and tells who said it to whom."""
    return " ".join(f"{provider}{number}x{place:02d}" for place in range(tokens))


class Act(enum.StrEnum):
    """What a caller does."""

    READ = "read"  # a stream to its end
    SLOW = "slow"  # the same, stopping now and then
    LEAVE = "leave"  # a stream until a few events have come
    CANCEL = "cancel"  # a stream until it is cancelled; blocking code, which cannot be, has a short `total`
    COLLECT = "collect"  # chat(collect=True)
    CHAT = "chat"


_ACTS = {Act.READ: 60, Act.SLOW: 8, Act.LEAVE: 12, Act.CANCEL: 12, Act.COLLECT: 4, Act.CHAT: 4}


@attrs.frozen(kw_only=True)
class Wish:
    """One call.

    events   after which a caller leaves or stops for `seconds`
    seconds  after which one is cancelled
    """

    number: int
    act: Act
    events: int
    seconds: float
    on_interrupt: OnInterrupt

    @property
    def request(self) -> ChatRequest:
        prompt = f"This is number {self.number}, say something about trains."
        return ChatRequest(MODELS[0], [Message.user(prompt)], fallbacks=MODELS[1:])


def wishes(profile: Profile, seed: int) -> Iterator[Wish]:
    """Calls without end. Not to be shared by threads without a lock."""
    rng = random.Random(seed)
    for number in itertools.count(1):
        act = rng.choices(tuple(_ACTS), tuple(_ACTS.values()))[0]
        # Some are cancelled while they connect or wait for a place, others in the midst of the answer.
        seconds = profile.tokens * profile.interval * rng.random() ** 2
        if act is Act.SLOW:
            seconds = profile.interval * 2
        restart = rng.random() < 0.4
        yield Wish(
            number=number,
            act=act,
            events=rng.randrange(1, profile.tokens),
            seconds=seconds,
            on_interrupt="restart" if restart else "raise",
        )


def _faults(profile: Profile, seed: int) -> tuple[Fault, ...]:
    """A round of what the first provider does: about half of it is as it should be."""
    rng = random.Random(seed)

    def somewhere() -> int:
        return rng.randrange(1, profile.tokens)

    brief = {"retry-after": f"{profile.interval:g}"}
    faults = [
        *(Fault() for _ in range(20)),
        *(Fault(gzip=True) for _ in range(2)),
        *(Fault(stall=profile.silence / 2, after_tokens=somewhere()) for _ in range(2)),
        Fault(fragment=40),
        Fault(corruption=Corruption.JSON, after_tokens=somewhere()),
        # A slow drip, which `total` ends.
        *(Fault(token_interval=profile.silence / 2) for _ in range(2)),
        *(Fault(status=503) for _ in range(2)),
        *(Fault(status=429, headers=brief) for _ in range(2)),
        *(Fault(abort=Abort.RESET, after_tokens=somewhere()) for _ in range(3)),
        *(Fault(abort=Abort.CLOSE, after_tokens=somewhere(), partial=True) for _ in range(3)),
        *(Fault(abort=Abort.HANG, after_tokens=somewhere()) for _ in range(2)),
        *(Fault(abort=Abort.END, after_tokens=somewhere()) for _ in range(2)),
        *(Fault(abort=cut) for cut in (Abort.RESET, Abort.CLOSE, Abort.HANG)),
        Fault(abort=Abort.ERROR, error="overloaded", after_tokens=somewhere()),
        Fault(corruption=Corruption.CHUNK, after_tokens=somewhere()),
        Fault.gateway_page(),
    ]
    rng.shuffle(faults)
    return tuple(faults)


def _fallback_faults(profile: Profile) -> tuple[Fault, ...]:
    middle = profile.tokens // 2
    unwell = (
        Fault(status=503),
        Fault(abort=Abort.RESET, after_tokens=middle),
        Fault(abort=Abort.HANG),
        Fault(abort=Abort.CLOSE),
    )
    return (*(Fault() for _ in range(12)), *unwell)


@attrs.frozen
class Server:
    """Where the providers are: URL and key of each, by name."""

    places: dict[str, tuple[str, str]]

    def providers(self) -> list[Provider]:
        return [create(name, api_key=key, base_url=url) for name, (url, key) in self.places.items()]


def _serve(pipe: Connection, profile: Profile, seed: int) -> None:
    def answer(received: Received) -> str:
        found = _NUMBER.search(received.raw)
        return answer_of(received.provider, int(found[1]) if found is not None else 0, profile.tokens)

    with Sandbox(token_interval=profile.interval) as sandbox:
        names = [model.provider for model in MODELS]
        for name in names:
            sandbox.answer(name, answer)
        sandbox.script(names[0], *_faults(profile, seed), forever=True)
        sandbox.script(names[1], *_fallback_faults(profile), forever=True)
        pipe.send(Server({name: (sandbox.url(name), sandbox.key(name)) for name in names}))
        wait_for_the_end(pipe)


@contextmanager
def served(profile: Profile, seed: int) -> Iterator[Server]:
    """A sandbox in a process of its own, that fails in every way it knows."""
    with own_process(_serve, profile, seed) as server:
        yield server
