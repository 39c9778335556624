"""Counts the requests of the gateway by path, status and key, beside the calls of its router."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from turnout_io.metrics import Metrics
from turnout_io.metrics.prometheus import Counter, Histogram, gauge_lines

__all__ = ["GatewayMetrics"]


@attrs.define(eq=False)
class GatewayMetrics:
    """All counts of one gateway.

    Attributes:
        calls: The calls of the router: attempts, failures, fallbacks, tokens and cost by model.
    """

    calls: Metrics = attrs.field(factory=Metrics)
    requests: Counter = attrs.field(
        factory=lambda: Counter(
            "turnout_gateway_requests_total", "Requests by path, status and key.", ("path", "status", "key")
        )
    )
    tokens: Counter = attrs.field(
        factory=lambda: Counter("turnout_gateway_tokens_total", "Tokens by kind and key.", ("kind", "key"))
    )
    cost: Counter = attrs.field(
        factory=lambda: Counter("turnout_gateway_cost_total", "Cost in the currency of the prices, by key.", ("key",))
    )
    first_content: Histogram = attrs.field(
        factory=lambda: Histogram("turnout_gateway_first_content_seconds", "Time to the first content of a stream.")
    )
    total: Histogram = attrs.field(
        factory=lambda: Histogram("turnout_gateway_call_seconds", "Time of a request that calls a model.")
    )

    def text(self, gauges: Mapping[str, tuple[str, Iterable[tuple[tuple[tuple[str, str], ...], float]]]]) -> bytes:
        """Return everything as text.

        Args:
            gauges: Present values by name, each with its help and its samples of labels and value.
        """
        metrics = (self.requests, self.tokens, self.cost, self.first_content, self.total)
        lines = [self.calls.text(), *(line for metric in metrics for line in metric.lines())]
        for name, (help, samples) in gauges.items():
            lines += gauge_lines(name, help, samples)
        return "".join(lines).encode()
