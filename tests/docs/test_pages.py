"""The pages: each program runs, each link leads somewhere, the navigation is complete, generated pages are current."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import PAGES, README, ROOT, Program, anchors, links, programs, run
from tools import reference, state_diagrams
from turnout_io.sandbox import Sandbox

PROGRAMS = [program for page in PAGES for program in programs(page)]
MOST_LINES_OF_THE_README = 350
# The programs of examples/, and what to give them.
EXAMPLES: dict[str, list[str]] = {
    "agent.py": [],
    "compare_models.py": [],
    "many_questions.py": [],
    "search.py": ["text.txt", "When does it open?"],
    "service.py": [],
    "summarize.py": ["text.txt", "--explain"],
    "trio_service.py": [],
}


def name_of(program: Program) -> str:
    """Return the page and the position of a program on it."""
    return f"{program.page.relative_to(ROOT)}-{programs(program.page).index(program)}"


@pytest.mark.full
@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_program_runs(program: Program, tmp_path: Path) -> None:
    if program.needs and importlib.util.find_spec(program.needs) is None:
        pytest.skip(f"{program.needs} is not installed; .ci/full.d/docs installs it")
    with Sandbox() as sandbox:
        acme = {"ACME_API_KEY": "k", "ACME_ENDPOINT": sandbox.url("openai-compatible")}
        assert run(program.code, {**sandbox.environ(), **acme}, tmp_path).strip()


@pytest.mark.full
@pytest.mark.parametrize(("name", "arguments"), EXAMPLES.items())
def test_example_runs(name: str, arguments: list[str], tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The yard opens at six. Points freeze in winter.\n", encoding="utf-8")
    with Sandbox() as sandbox, text.open("rb") as standard_input:
        done = subprocess.run(
            [sys.executable, "-W", "error", ROOT / "examples" / name, *arguments],
            env={**os.environ, **sandbox.environ(), "PYTHONUTF8": "1"},
            cwd=tmp_path,
            stdin=standard_input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert "failed" not in done.stdout


def test_examples_are_run_and_listed() -> None:
    found = sorted(path.name for path in (ROOT / "examples").glob("*.py"))
    assert found == sorted(EXAMPLES)
    assert all(f"`{name}`" in (ROOT / "examples" / "README.md").read_text("utf-8") for name in found)


def test_every_program_is_run() -> None:
    for page in PAGES:
        shown = page.read_text("utf-8").count("```python")
        assert len(programs(page)) == shown, f"a program of {page} has no <!-- run: … --> before it"


def test_there_are_programs_for_each_kind_of_user() -> None:
    for driver in ("sync", "trio", "asyncio"):
        assert any(f"from turnout_io.{driver} import Router" in program.code for program in programs(README))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{page.relative_to(ROOT)}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.relative_to(ROOT)}: {link}"


def test_readme_is_short() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= MOST_LINES_OF_THE_README


def files(entries: list[Any]) -> list[str]:
    """Return the files of a navigation, in order."""
    found: list[str] = []
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        found += files(value) if isinstance(value, list) else [value]
    return found


def test_navigation_has_every_page_once() -> None:
    settings = yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), yaml.BaseLoader)
    docs = ROOT / "docs"
    assert sorted(files(settings["nav"])) == sorted(str(page.relative_to(docs)) for page in docs.rglob("*.md"))


@pytest.mark.parametrize("name", list(reference.PAGES))
def test_reference_is_current(name: str) -> None:
    page = (reference.FOLDER / name).read_text("utf-8")
    assert page == reference.PAGES[name](), "run python tools/reference.py"


def test_state_diagrams_are_current() -> None:
    assert state_diagrams.PAGE.read_text("utf-8") == state_diagrams.page(), "run python tools/state_diagrams.py"
