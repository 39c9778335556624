"""Changes to a response on its way to the caller: its cost, and the part that arrived before it."""

from __future__ import annotations

from typing import Any, Literal, TypeVar

import attrs

from turnout.chat import ChatResponse, FinishReason, RateLimit, Usage
from turnout.errors import ContentFiltered
from turnout.events import End, Event
from turnout.messages import Message, Part, Text, Thinking
from turnout.prices import Price

__all__ = [
    "concatenate",
    "content_filter_error",
    "rate_limit_of",
    "sum_usage",
    "unmet_of",
    "usage_of",
    "with_cost",
    "with_totals",
]

T = TypeVar("T")

_NO_USAGE = Usage(source="absent")


def usage_of(result: object) -> Usage:
    """Return the usage of a result; some kinds of results have none."""
    usage: Usage = getattr(result, "usage", _NO_USAGE)
    return usage


def rate_limit_of(result: object) -> RateLimit | None:
    """Return the rate-limit headers of a result; some kinds of results have none."""
    limits: RateLimit | None = getattr(result, "rate_limit", None)
    return limits


def unmet_of(result: object) -> tuple[str, ...]:
    """Return the demands that a result does not meet; only responses of chats have any."""
    return result.unmet if isinstance(result, ChatResponse) else ()


def with_cost(result: T, price: Price | None) -> T:
    """Return the result with the cost of its usage, if it is known."""
    if price is None or not attrs.has(type(result)):
        return result
    usage = getattr(result, "usage", None)
    cost = price.of(usage) if usage is not None else None
    if usage is None or cost is None:
        return result
    if usage.cost is None:
        # A usage without a cost is one that the exchange has just made. To copy it and the result would cost as much
        # as the rest of routing; and the event at the end of a stream, which has the same usage, gets the cost, too.
        object.__setattr__(usage, "cost", cost)
        return result
    changed: Any = attrs.evolve(result, usage=attrs.evolve(usage, cost=cost))  # type: ignore[misc]  # it has the field
    return changed  # type: ignore[no-any-return]  # evolve keeps the type


def content_filter_error(result: object, provider: str) -> ContentFiltered | None:
    """Return the error for a response that a content filter cut, for callers that prefer to fall back; else None."""
    if not isinstance(result, ChatResponse) or result.finish_reason is not FinishReason.CONTENT_FILTER:
        return None
    return ContentFiltered(
        f"the response was cut by a content filter ({result.raw_finish_reason})",
        provider=provider,
        code=result.raw_finish_reason,
        request_id=result.request_id,
    )


def concatenate(first: ChatResponse, rest: ChatResponse) -> ChatResponse:
    """Return one response of two parts, of which the second continues the first."""
    before, after = first.message, rest.message
    message = attrs.evolve(
        after, content=_joined(before.content, after.content), tool_calls=(*before.tool_calls, *after.tool_calls)
    )
    return attrs.evolve(
        rest,
        message=message,
        finish_reason=_joined_reason(message, rest.finish_reason),
        usage=sum_usage([first.usage, rest.usage]),
        logprobs=[*(first.logprobs or ()), *(rest.logprobs or ())] or None,
        citations=(*first.citations, *rest.citations),
    )


def _joined_reason(message: Message, reason: FinishReason) -> FinishReason:
    """Return why the whole answer ended: for its calls, also if only a part before the last one has them."""
    return FinishReason.TOOL_CALLS if message.tool_calls and reason is FinishReason.STOP else reason


def _joined(first: tuple[Part, ...], rest: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts of both. A text that was cut between them is one part again, unless a signature ends it."""
    if not first or not rest:
        return (*first, *rest)
    end, begin = first[-1], rest[0]
    for kind in (Text, Thinking):
        if isinstance(end, kind) and isinstance(begin, kind) and end.signature is None and not end.extra:
            return (*first[:-1], attrs.evolve(begin, text=end.text + begin.text), *rest[1:])
    return (*first, *rest)


def sum_usage(usages: list[Usage]) -> Usage:
    """Return the usage of several requests together. A number that one of them lacks is unknown for all."""
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
        source=_summed_source({usage.source for usage in usages}),
    )


def _summed_source(
    sources: set[Literal["reported", "estimated", "absent"]],
) -> Literal["reported", "estimated", "absent"]:
    if "absent" in sources:
        return "absent"
    return "estimated" if "estimated" in sources else "reported"


def _summed_details(usages: list[Usage]) -> dict[str, Any]:
    """Add up the counts that all requests report. Values that are no counts are left out."""
    shared = [name for name in usages[0].details if all(name in usage.details for usage in usages)]
    values = {name: [usage.details[name] for usage in usages] for name in shared}
    return {name: sum(counts) for name, counts in values.items() if all(isinstance(one, int) for one in counts)}


_NUMBERS = tuple(field.name for field in attrs.fields(Usage) if field.name not in ("source", "service_tier", "details"))


def with_totals(events: tuple[Event, ...], result: Any, *, is_last: bool) -> tuple[Event, ...]:
    """Return the events, with the totals of the whole result on the `End` among them.

    If another part follows, the `End` is left out.
    """
    if not is_last:
        return tuple(event for event in events if not isinstance(event, End))
    totals: dict[str, Any] = {"usage": result.usage, "unmet": unmet_of(result)}
    if isinstance(result, ChatResponse):
        totals["finish_reason"] = result.finish_reason
    return tuple(attrs.evolve(event, **totals) if isinstance(event, End) else event for event in events)
