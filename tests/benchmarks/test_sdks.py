"""The matrix of SDKs and operations: its rows, and its place in the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sdks.__main__ import matrix_of
from benchmarks.sdks.sites import OPERATIONS, WITHOUT_HTTP, Site, all_sites
from benchmarks.surfaces.environment import pinned, sdk_name
from turnout_sandbox import Sandbox
from turnout_sandbox.dialects import PROVIDERS

_DOCUMENT = Path(__file__).parents[2] / "docs" / "sandbox.md"


def test_every_pinned_sdk_and_every_provider_has_a_row() -> None:
    sites = all_sites()
    assert {site.sdk for site in sites} | set(WITHOUT_HTTP) == {sdk_name(line) for line in pinned()}
    assert {site.provider for site in sites} == set(PROVIDERS)


def test_the_document_has_the_rows_of_the_pinned_versions() -> None:
    versions = {sdk_name(line): line.replace("==", " ") for line in pinned()}
    rows = {tuple(cell.strip() for cell in line.split("|")[1:3]) for line in _DOCUMENT.read_text("utf-8").splitlines()}
    assert {(versions[site.sdk], site.provider) for site in all_sites()} <= rows
    assert "fails" not in _DOCUMENT.read_text("utf-8").partition("matrix: begin")[2]


def test_matrix_shows_success_failure_and_absence() -> None:
    results = {Site("openai", "groq", "openai_compatible"): {"chat": "", "stream": "AssertionError"}}
    header, _, row = matrix_of(results, {"openai": "openai==1.0"}).splitlines()
    assert header == "| SDK | provider | " + " | ".join(OPERATIONS) + " |"
    assert row.split(" | ")[:5] == ["| openai 1.0", "groq", "yes", "**fails**", "–"]


@pytest.mark.parametrize("site", all_sites(), ids=lambda site: f"{site.sdk}-{site.provider}")
def test_a_site_names_models_of_its_provider(site: Site) -> None:
    with Sandbox() as sandbox:
        described = site.described(sandbox)
    assert described["model"]
    assert described["url"].startswith("http://127.0.0.1:")
    assert not {"embed", "rerank"} & set(described["model"].lower().split("-"))
