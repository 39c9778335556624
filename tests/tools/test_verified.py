"""The page of what each provider was verified against is current, and needs no recordings to be checked."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tools import verified
from turnout.providers import CATALOG


def test_the_page_is_current() -> None:
    assert verified.PAGE.read_text("utf-8") == verified.page()


def test_every_count_is_of_a_provider_and_has_a_row() -> None:
    counts = tomllib.loads(verified.COUNTS.read_text("utf-8"))
    assert set(counts) <= set(CATALOG)
    for name in CATALOG:
        assert f"| `{name}` |" in verified.page()


def test_check_fails_if_the_page_differs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert verified.main(["--check"]) == 0
    other = tmp_path / "verified.md"
    other.write_text("an older page", "utf-8")
    monkeypatch.setattr(verified, "PAGE", other)
    assert verified.main(["--check"]) == 1
    assert verified.main([]) == 0
    assert verified.main(["--check"]) == 0


@pytest.mark.parametrize(
    ("headers", "body", "month"),
    [
        ({"date": "Mon, 15 Dec 2025 10:00:00 GMT"}, '{"created": 1770933883}', "2025-12"),
        ({}, '{"created": 1770933883}', "2026-02"),
        ({}, '{"created_at":1770933883}', "2026-02"),
        ({}, '{"created_at": "2024-05-01T00:00:00Z"}', "2024-05"),
        ({}, '{"created": 0}', "undated"),
        ({}, "", "undated"),
    ],
)
def test_the_month_of_a_response(headers: dict[str, str], body: str, month: str) -> None:
    assert verified.month_of({"headers": headers, "body_text": body}) == month


def test_counts_read_back() -> None:
    counts = {"openai": {"2026-02": 3, "undated": 1}, "groq": {"2025-11": 2}}
    assert tomllib.loads(verified.counts_file(counts)) == counts
