"""A router that reads its file again."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnout.config.values import SettingsError
from turnout.errors import LocalProtocolError
from turnout.routing import Route
from turnout_io.sync import Router

FIRST = """
providers:
  mine: {kind: openai-compatible, endpoint: "http://127.0.0.1:1/v1", apiKeys: [sk-one, sk-two]}
  other: {kind: openai-compatible, endpoint: "http://127.0.0.1:2/v1"}
runtime: {router: {providerTimeout: 20s, limits: {mine: {maxConcurrency: 3}}}}
routes: {fast: [mine/a], slow: [other/b]}
aliases: {quick: fast}
"""
SECOND = """
providers:
  mine: {kind: openai-compatible, endpoint: "http://127.0.0.1:1/v1", apiKey: sk-three}
runtime: {router: {providerTimeout: 30s}}
routes: {fast: [mine/c]}
"""


def names(router: Router) -> set[str]:
    return {status.provider for status in router.statuses() if status.provider[:5] in ("mine", "mine#", "other")}


def test_a_router_takes_over_a_changed_file(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(FIRST)
    with Router.from_config(file, dotenv=None, environ={}, max_attempts=4) as router:
        assert names(router) == {"mine#1", "mine#2", "other"}
        assert router.policy.timeout == 20.0
        file.write_text(SECOND)
        router.reload()
        assert names(router) == {"mine"}
        assert (router.policy.timeout, router.policy.max_attempts, dict(router.policy.limits)) == (30.0, 4, {})
        with pytest.raises(ValueError, match="no route named 'slow'"):
            router.remove_route("slow")


def test_a_wrong_file_changes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(FIRST)
    with Router.from_config(file, dotenv=None, environ={}) as router:
        file.write_text(FIRST.replace("20s", "soon"))
        with pytest.raises(SettingsError):
            router.reload()
        assert names(router) == {"mine#1", "mine#2", "other"}
        assert router.policy.timeout == 20.0


def test_a_router_made_in_code_has_no_file() -> None:
    with Router() as router, pytest.raises(LocalProtocolError, match="there is no file"):
        router.reload()


def test_a_route_of_a_file_may_name_an_alias_that_looks_like_a_provider(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(SECOND)
    with Router.from_config(file, dotenv=None, environ={}) as router:
        file.write_text(SECOND.replace("[mine/c]", "[mines/c]") + "aliases: {mines/c: mine/c}\n")
        router.reload()
        with pytest.raises(ValueError, match="route 'new': 'mines/d' matches no provider of this router; did you mean"):
            router.add_route(Route("new", ["mines/d"]))
    file.write_text(SECOND.replace("[mine/c]", "[mines/c]"))
    with pytest.raises(ValueError, match="route 'fast': 'mines/c' matches no provider"):
        Router.from_config(file, dotenv=None, environ={})
