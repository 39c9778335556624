"""Reads the README and the pages of docs/: their programs, links and headings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))
_PROGRAM = re.compile(r"<!-- run: (\w+)(?:, needs (\w+))? -->\n```python\n(.*?)```", re.DOTALL)


@attrs.frozen
class Program:
    """A program of a page.

    Attributes:
        page: The path of the page.
        driver: sync, trio or asyncio.
        needs: A package that the development environment may lack; "" if there is none.
        code: The program.
    """

    page: Path
    driver: str
    needs: str
    code: str


def programs(page: Path) -> list[Program]:
    """Return the programs of one page, in order."""
    return [Program(page, driver, needs, code) for driver, needs, code in _PROGRAM.findall(page.read_text("utf-8"))]


def without_code(text: str) -> str:
    """Return the text of a page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", without_code(page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    """Return the targets of the links of a page that are in this repository."""
    found = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text("utf-8")))
    return [target for target in found if "://" not in target]


def run(program: str, environ: dict[str, str], folder: Path) -> str:
    """Run a program with only these keys and URLs, and return its output."""
    clean = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_ENDPOINT"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**clean, **environ, "PYTHONUTF8": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
