"""Where a scenario is played: a sandbox of its own with two providers, whose answers tell who gave them."""

from __future__ import annotations

import attrs

from benchmarks.crash_test.calls import Mode
from benchmarks.crash_test.profile import TOKENS, Profile
from turnout.chat import ChatRequest, ModelConfig
from turnout.messages import Message
from turnout.prices import Price
from turnout.providers import create
from turnout.providers.protocol import Provider
from turnout.routing.policy.settings import Policy
from turnout_io.sandbox import Fault, Received, Sandbox

__all__ = ["Stage", "answer_of"]

PRICE = Price(1.0, 1_000_000.0)  # a unit of money for each token of an answer, so that a token too many shows


def answer_of(provider: str) -> str:
    """What a provider answers: words that tell who said them and in which place, a token each."""
    return " ".join(f"{provider[:6]}-{number:02d}" for number in range(1, TOKENS + 1))


@attrs.frozen(kw_only=True)
class Stage:
    sandbox: Sandbox
    profile: Profile
    mode: Mode
    primary: ModelConfig
    fallback: ModelConfig

    def __attrs_post_init__(self) -> None:
        for model in (self.primary, self.fallback):
            self.sandbox.answer(model.provider, answer_of(model.provider))

    @property
    def request(self) -> ChatRequest:
        return ChatRequest(self.primary, [Message.user("Say sixty words about trains.")], fallbacks=[self.fallback])

    @property
    def policy(self) -> Policy:
        prices = {str(self.primary): PRICE, str(self.fallback): PRICE}
        return attrs.evolve(self.profile.policy(self.mode.on_interrupt), prices=prices)

    @property
    def providers(self) -> list[Provider]:
        names = (self.primary.provider, self.fallback.provider)
        return [create(name, api_key=self.sandbox.key(name), base_url=self.sandbox.url(name)) for name in names]

    def breaks(self, *faults: Fault) -> None:
        """The primary has these faults, again and again; without any it is well."""
        self.sandbox.script(self.primary.provider, *faults, forever=True)

    def breaks_once(self, fault: Fault) -> None:
        self.sandbox.script(self.primary.provider, fault)

    @property
    def to_primary(self) -> tuple[Received, ...]:
        return self.sandbox.requests_to(self.primary.provider)

    @property
    def to_fallback(self) -> tuple[Received, ...]:
        return self.sandbox.requests_to(self.fallback.provider)
