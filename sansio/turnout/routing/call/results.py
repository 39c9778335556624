"""What is done to an answer on its way to the caller: its price, and what came before it."""

from __future__ import annotations

from typing import Any, TypeVar

import attrs

from turnout.chat import ChatResponse, FinishReason, Usage
from turnout.errors import ContentFiltered
from turnout.events import End, Event
from turnout.messages import Message
from turnout.prices import Price

__all__ = ["continued", "priced", "refusal", "summed", "with_usage"]

T = TypeVar("T")


def priced(result: T, price: Price | None) -> T:
    """The answer with the cost of its usage, where that is known."""
    if price is None or not attrs.has(type(result)):
        return result
    usage = getattr(result, "usage", None)
    cost = price.of(usage) if usage is not None else None
    if usage is None or cost is None:
        return result
    changed: Any = attrs.evolve(result, usage=attrs.evolve(usage, cost=cost))  # type: ignore[misc]  # it has the field
    return changed  # type: ignore[no-any-return]  # evolve keeps the type


def refusal(result: object, provider: str) -> ContentFiltered | None:
    """The error that an answer amounts to which a content filter has cut, for callers who would rather go elsewhere."""
    if not isinstance(result, ChatResponse) or result.finish_reason is not FinishReason.CONTENT_FILTER:
        return None
    return ContentFiltered(
        f"the answer was cut by a content filter ({result.raw_finish_reason})",
        provider=provider,
        code=result.raw_finish_reason,
        request_id=result.request_id,
    )


def continued(first: ChatResponse, rest: ChatResponse) -> ChatResponse:
    """One answer of two parts, the second of which goes on where the first broke off."""
    content = (*first.message.content, *rest.message.content)
    texts = first.text + rest.text
    message = attrs.evolve(rest.message, content=Message.assistant(texts).content if texts else content)
    return attrs.evolve(rest, message=message, usage=summed([first.usage, rest.usage]))


def summed(usages: list[Usage]) -> Usage:
    """The usage of several requests together; a number that one of them lacks is not known for all."""
    if len(usages) == 1:
        return usages[0]

    def total(numbers: list[Any]) -> Any:
        known = [number for number in numbers if number is not None]
        return sum(known) if len(known) == len(numbers) else None

    sums = {name: total([getattr(usage, name) for usage in usages]) for name in _NUMBERS}
    tiers = {usage.service_tier for usage in usages}
    return Usage(
        **sums,
        service_tier=tiers.pop() if len(tiers) == 1 else None,
        details=_summed_details(usages),
        source="reported" if all(usage.source == "reported" for usage in usages) else "absent",
    )


def _summed_details(usages: list[Usage]) -> dict[str, Any]:
    """Add up the counts that all requests report. Values that are no counts are left out."""
    shared = [name for name in usages[0].details if all(name in usage.details for usage in usages)]
    values = {name: [usage.details[name] for usage in usages] for name in shared}
    return {name: sum(counts) for name, counts in values.items() if all(isinstance(one, int) for one in counts)}


_NUMBERS = tuple(field.name for field in attrs.fields(Usage) if field.name not in ("source", "service_tier", "details"))


def with_usage(events: tuple[Event, ...], usage: Usage) -> tuple[Event, ...]:
    """The events with this usage on the End among them."""
    return tuple(attrs.evolve(event, usage=usage) if isinstance(event, End) else event for event in events)
