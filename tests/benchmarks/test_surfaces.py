"""The comparison of the SDKs' types with our tables: what it finds, and that its files agree with each other."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.surfaces import __main__ as surfaces_main
from benchmarks.surfaces import environment
from benchmarks.surfaces.compare import Review, Surface, compare, idle_reviews, load_reviews, load_surfaces
from benchmarks.surfaces.environment import pinned, sdk_name
from benchmarks.surfaces.known import TABLES

_SDK = """
import enum
from typing import Annotated, Generic, List, Literal, Optional, TypedDict, TypeVar, Union


class Text(TypedDict):
    type: Literal["text"]


class Picture(TypedDict):
    type: Literal["image", "image_url"]
    detail: "Optional[Literal['low', 'high']]"


class Effort(enum.Enum):
    LOW = "low"
    HIGH = "high"


Part = Annotated[Union[Text, Picture], "discriminated by type"]


class Message(TypedDict, total=False):
    parts: List[Part]
    effort: Optional[Effort]
    size: int
"""


@pytest.mark.parametrize(
    ("path", "key", "values"),
    [
        ("sdk:Part", "type", ["image", "image_url", "text"]),
        ("sdk:Message.parts", "type", ["image", "image_url", "text"]),
        ("sdk:Message.parts", "detail", ["high", "low"]),
        ("sdk:Message.effort", None, ["high", "low"]),
        ("sdk:Part.detail", None, ["high", "low"]),
        ("sdk:Message", "*", ["effort", "parts", "size"]),
    ],
)
def test_read_sdk_returns_the_values_of_a_type(tmp_path: Path, path: str, key: str | None, values: list[str]) -> None:
    (tmp_path / "sdk.py").write_text(_SDK)
    assert environment.read_values(tmp_path, [{"name": "one", "type": path, "key": key}]) == {"one": values}


@pytest.mark.parametrize("path", ["sdk:Gone", "sdk:Message.gone", "gone:Message", "sdk:Message.size"])
def test_read_sdk_reports_a_type_that_is_gone(tmp_path: Path, path: str) -> None:
    (tmp_path / "sdk.py").write_text(_SDK)
    with pytest.raises(environment.SdkFailed, match="one: "):
        environment.read_values(tmp_path, [{"name": "one", "type": path}])


def test_read_sdk_needs_no_package_of_ours(tmp_path: Path) -> None:
    (tmp_path / "sdk.py").write_text("from typing import Literal\nWord = Literal['a']\n")
    script = Path(environment.__file__).with_name("read_sdk.py")
    ran = subprocess.run(
        [sys.executable, "-I", "-S", str(script), str(tmp_path)],
        input=json.dumps([{"name": "one", "type": "sdk:Word"}]).encode(),
        capture_output=True,
        check=True,
    )
    assert json.loads(ran.stdout) == {"one": ["a"]}


def test_compare_reports_a_value_in_no_table_and_no_review() -> None:
    surface = Surface("sdk: words", "sdk:Word", "words")
    values = {"sdk: words": ["known", "reviewed", "new"]}
    [found] = compare([surface], values, {"words": {"known"}}, [Review("words", "why", ("reviewed",))])
    assert (found.count, found.reviewed, found.unknown) == (3, ("reviewed",), ("new",))


def test_a_review_covers_its_own_table_alone() -> None:
    surface = Surface("sdk: words", "sdk:Word", "words")
    [found] = compare([surface], {"sdk: words": ["new"]}, {"words": ()}, [Review("others", "why", ("new",))])
    assert found.unknown == ("new",)


def test_a_review_without_use_is_reported() -> None:
    surface = Surface("sdk: words", "sdk:Word", "words")
    values = {"sdk: words": ["known", "reviewed"]}
    reviews = [Review("words", "why", ("known", "reviewed", "gone"))]
    idle = idle_reviews([surface], values, {"words": {"known"}}, reviews)
    assert [line.split()[1] for line in idle] == ["gone", "known"]


def test_the_files_agree_with_each_other() -> None:
    surfaces = load_surfaces()
    names = [surface.name for surface in surfaces]
    assert len(set(names)) == len(names)
    assert {surface.sdk for surface in surfaces} == set(map(sdk_name, pinned())), (
        "an SDK without a surface, or without a pin"
    )
    assert {surface.known for surface in surfaces} == set(TABLES), "a table that no surface is compared with, or none"
    assert {review.known for review in load_reviews()} <= set(TABLES)
    assert all("==" in requirement for requirement in pinned())


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_table_knows_everything(name: str) -> None:
    assert "a-value-that-no-provider-sends" not in TABLES[name]


def test_an_unknown_value_gives_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def values(requirements: object, surfaces: list[Surface], environments: object) -> dict[str, list[str]]:
        return {surface.name: ["a-value-that-no-provider-sends"] for surface in surfaces}

    monkeypatch.setattr(surfaces_main, "_values", values)
    assert surfaces_main.main(["--only", "ollama"]) == 1
    printed = capsys.readouterr().out
    assert "a-value-that-no-provider-sends (not in the table ollama.wire)" in printed
