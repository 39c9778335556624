"""Spans and metrics of OpenTelemetry: `Router.from_env(on_trace=OpenTelemetry())`. The extra is `turnout[otel]`."""

from __future__ import annotations

from turnout_io.otel.spans import OpenTelemetry

__all__ = ["OpenTelemetry"]
