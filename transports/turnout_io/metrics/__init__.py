"""Counts the calls of a router, and writes the counts in the text format of Prometheus."""

from turnout_io.metrics.calls import Metrics
from turnout_io.metrics.prometheus import CONTENT_TYPE

__all__ = ["CONTENT_TYPE", "Metrics"]
