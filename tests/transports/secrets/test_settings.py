"""No wrong setting shows a secret, also if a report shows local variables: files, variables and arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import turnout_io.asyncio
import turnout_io.sync
import turnout_io.trio
from tests.transports.secrets.shown import HEADER, KEY, PASSWORD, leaks
from turnout.config.settings import Settings, SettingsError
from turnout.providers import create
from turnout_io.files import load_settings

VARIABLES = {"OPENAI_API_KEY": KEY, "H": HEADER, "P": PASSWORD}
FILES = {
    "a wrong type beside a variable": "providers:\n  openai:\n    api_key: ${OPENAI_API_KEY}\n    enabled: [1]\n",
    "an unknown name beside a key": f"providers:\n  openai:\n    api_key: {KEY}\n    unknown: 1\n",
    "a key of two lines": f'providers:\n  openai:\n    api_key: "{KEY}\\n{KEY}"\n',
    "a key for a number": "runtime:\n  router:\n    timeout: ${OPENAI_API_KEY}\n",
    "a key for a mapping": "routes:\n  a: ${OPENAI_API_KEY}\n",
    "a key for the names of models": "aliases:\n  a: ${OPENAI_API_KEY}\n",
    "a password in a base URL": f"providers:\n  openai:\n    api_key: k-12345678\n    base_url: http://x:{PASSWORD}@h/\n",
    "a key for a base URL": "providers:\n  openai:\n    endpoint: ${OPENAI_API_KEY}\n    api_key: k-12345678\n",
    "a header field of two lines": 'providers:\n  openai:\n    api_key: k-12345678\n    headers: {X: "${H}\\n"}\n',
    "no YAML": f"providers: {{openai: {{api_key: {KEY}\n",
    "keys of a wrong type": f"providers:\n  openai:\n    api_keys: {{a: {KEY}, b: 5}}\n",
    "one key twice": f"providers:\n  openai:\n    api_keys: [{KEY}, {KEY}]\n",
    "a store with a password": f"shared:\n  url: ftp://user:{PASSWORD}@h\n",
}


def build(path: Path) -> None:
    load_settings(path, environ=VARIABLES, dotenv=None).build_providers()


ROUTERS: list[Any] = [turnout_io.sync.Router, turnout_io.trio.Router, turnout_io.asyncio.Router]


@pytest.mark.parametrize("router", [None, *ROUTERS])
def test_a_wrong_file(router: Any, tmp_path: Path) -> None:
    path = tmp_path / "turnout.yaml"
    failed = []
    for name in FILES:
        path.write_text(FILES[name])
        try:
            build(path) if router is None else router.from_config(path, environ=VARIABLES, dotenv=None)
        except SettingsError as error:
            assert leaks(error) == []
            failed.append(name)
    assert len(failed) > 5, failed


def test_a_wrong_file_of_variables(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_bytes(f"OPENAI_API_KEY={KEY}\n".encode() + b"X=\xff\n")
    with pytest.raises(SettingsError, match="line 2: this is not UTF-8") as caught:
        load_settings(dotenv=path, environ={})
    assert leaks(caught.value) == []


@pytest.mark.parametrize(
    "settings",
    [
        lambda: {"api_key": f"{KEY}\n"},
        lambda: {"api_key": {"a": KEY, "b": 5}},
        lambda: {"api_key": [KEY, KEY]},
        lambda: {"api_key": KEY, "base_url": f"http://u:{PASSWORD}@h/"},
        lambda: {"api_key": KEY, "headers": {"x": f"{HEADER}\n"}},
        lambda: {"api_key": KEY, "headers": [HEADER]},
        lambda: {"api_key": KEY, "unknown": PASSWORD},
        lambda: {"access_token": f"{KEY}\r"},
    ],
)
@pytest.mark.parametrize("name", ["openai", "anthropic", "azure", "bedrock", "gemini", "cohere"])
def test_wrong_arguments(name: str, settings: Callable[[], Mapping[str, Any]]) -> None:
    try:
        create(name, **settings())
    except (TypeError, ValueError) as error:
        assert leaks(error) == []


def test_settings_themselves() -> None:
    settings = Settings.from_env(VARIABLES)
    with pytest.raises(ZeroDivisionError) as caught:
        assert settings.providers and 1 / 0  # noqa: PT018  # the frame holds the settings
    assert leaks(caught.value) == []
