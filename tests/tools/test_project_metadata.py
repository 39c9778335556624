"""What PyPI shows: the README without links that lead nowhere, and addresses only if the project has one."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def load() -> Any:
    """Return `hatch_build.py`, which is in no package."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


HOOK = load()


@pytest.mark.parametrize(
    ("link", "absolute", "alone"),
    [
        ("[Errors](docs/errors.md#all)", "[Errors](https://a.org/x/blob/main/docs/errors.md#all)", "Errors"),
        ("![still](docs/demo.svg)", "![still](https://a.org/x/raw/main/docs/demo.svg)", "still"),
        ("[just](https://just.systems)", "[just](https://just.systems)", "[just](https://just.systems)"),
        ("[mail](mailto:a@b.org)", "[mail](mailto:a@b.org)", "[mail](mailto:a@b.org)"),
        ("[below](#install)", "[below](#install)", "[below](#install)"),
        ("tools=[f](x y)", "tools=[f](x y)", "tools=[f](x y)"),
    ],
)
def test_a_relative_link_becomes_absolute_or_its_text(link: str, absolute: str, alone: str) -> None:
    assert HOOK.with_absolute_links(link, "https://a.org/x") == absolute
    assert HOOK.with_absolute_links(link, "") == alone


@pytest.mark.parametrize("repository", ["", "https://a.org/x"])
def test_the_readme_has_no_relative_link_on_pypi(repository: str) -> None:
    metadata: dict[str, Any] = {}
    HOOK.ProjectMetadata(str(ROOT), {"repository": f"{repository}/" if repository else ""}).update(metadata)
    text = metadata["readme"]["text"]
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    assert all(target.startswith(("https://", "#")) for target in targets)
    assert bool(targets) == bool(repository)
    written = re.findall(r"\]\(([^)\s]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))
    for target in written:
        assert (ROOT / target.partition("#")[0]).exists()
    assert metadata["urls"].keys() == ({"Repository", "Documentation", "Changelog", "Issues"} if repository else set())


def test_the_package_takes_its_metadata_from_the_hook() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert {"readme", "urls"} <= set(project["project"]["dynamic"])
    assert "repository" in project["tool"]["hatch"]["metadata"]["hooks"]["custom"]
    assert "/hatch_build.py" in project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
