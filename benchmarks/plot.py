"""Bars of what each client costs, as an SVG file without any library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

__all__ = ["bars"]

_ROW, _LEFT, _WIDTH, _TOP = 20, 220, 420, 46
_OWN, _OTHER = "#2563eb", "#94a3b8"


def bars(panels: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Return a plot with one panel for each title and its values, on a logarithmic axis.

    Args:
        panels: Titles, and microseconds by the name of the client. Names that begin with "Turnout" are highlighted.
    """
    parts: list[str] = []
    top = 0
    for title, values in panels:
        parts += _panel(title, values, top)
        top += _TOP + _ROW * len(values) + 16
    width = _LEFT + _WIDTH + 90
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top}" viewBox="0 0 {width} {top}" '
        'font-family="system-ui, sans-serif" font-size="12">\n'
        f'<rect width="{width}" height="{top}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _panel(title: str, values: Mapping[str, float], top: int) -> list[str]:
    ordered = sorted(values.items(), key=lambda item: item[1])
    low = math.log10(min(values.values())) - 0.15
    high = math.log10(max(values.values()))
    parts = [
        f'<text x="8" y="{top + 28}" font-size="14" font-weight="600" fill="#0f172a">{escape(title)} '
        '<tspan font-weight="400" fill="#64748b">(logarithmic scale)</tspan></text>'
    ]
    for row, (name, value) in enumerate(ordered):
        y = top + _TOP + row * _ROW
        length = _WIDTH * (math.log10(value) - low) / max(high - low, 1e-9)
        colour = _OWN if name.startswith("Turnout") else _OTHER
        shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}"
        parts += [
            f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end" fill="#334155">{escape(name)}</text>',
            f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="14" rx="2" fill="{colour}"/>',
            f'<text x="{_LEFT + length + 6:.1f}" y="{y + 11}" fill="#334155">{shown} µs</text>',
        ]
    return parts
