"""Counts the calls of a router, and writes the counts in the text format of Prometheus."""

from typing import TYPE_CHECKING

from turnout_io.metrics.calls import Metrics
from turnout_io.metrics.prometheus import CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Metrics"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
