"""Every public module spells out what it exports, and the root gives the same objects."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import turnout
import turnout_io
import turnout_sandbox


def modules(package: object) -> list[str]:
    path, name = package.__path__, package.__name__  # type: ignore[attr-defined]  # a package has both
    found = pkgutil.walk_packages(path, f"{name}.")
    return [info.name for info in found if not any(part.startswith("_") for part in info.name.split("."))]


@pytest.mark.parametrize("name", modules(turnout) + modules(turnout_io) + modules(turnout_sandbox))
def test_a_module_spells_out_its_exports(name: str) -> None:
    if name.startswith("turnout_io.pydantic_ai"):
        pytest.importorskip("pydantic_ai", reason="Pydantic AI is not installed; .ci/full.d/pydantic-ai installs it")
    module = importlib.import_module(name)
    exported = getattr(module, "__all__", None)
    if exported is None:
        assert hasattr(module, "__path__"), f"{name} has no __all__"
        return
    assert sorted(exported) == sorted(set(exported)), "no name twice"
    for export in exported:
        assert hasattr(module, export), f"{name}.{export} does not exist"


def test_the_root_gives_the_everyday_names() -> None:
    for export in turnout.__all__:
        value = getattr(turnout, export)
        home = getattr(value, "__module__", None)
        if home is not None and home.startswith("turnout"):
            assert export in importlib.import_module(home).__all__
