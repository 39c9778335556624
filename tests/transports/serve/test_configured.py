"""A gateway that is made from a configuration: it knows the names that the router of that configuration knows."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest

from turnout.chat import ChatRequest, ModelConfig
from turnout.config.settings import Settings
from turnout.config.values import SettingsError
from turnout.serving import RequestRejected
from turnout_io.serve import Gateway
from turnout_io.serve.keys import Client
from turnout_io.serve.run import build_gateway

CONFIG: dict[str, Any] = {
    "providers": {"openai": {"apiKeys": {"a": "sk-1", "b": "sk-2"}}, "groq": {"apiKey": "gsk-1"}},
    "routes": {"gpt-*": ["openai/gpt-*"], "smart": ["groq/llama-3.3-70b-versatile", "openai/gpt-4o"]},
    "aliases": {"quick": "smart", "groq/small": "openai/gpt-4o-mini"},
    "runtime": {"router": {"prices": {"openai/gpt-4o-mini": {"prompt": 1, "completion": 1}}}},
    "serve": {"aliases": {"fast": ["openai/gpt-4o-mini"]}},
}
ANYBODY = Client("local")


def built(**sections: Any) -> Gateway:
    return build_gateway(Settings.from_mapping({**CONFIG, **sections}, {}))


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("fast", ["openai/gpt-4o-mini"]),
        ("openai/gpt-4o-mini", ["openai/gpt-4o-mini"]),
        ("route/smart", ["groq/llama-3.3-70b-versatile", "openai/gpt-4o"]),
        ("route/quick", ["groq/llama-3.3-70b-versatile", "openai/gpt-4o"]),
        ("route/gpt-5-mini", ["openai/gpt-5-mini"]),
        ("groq/small", ["openai/gpt-4o-mini"]),
    ],
)
def test_names_mean_the_models_that_they_mean_to_the_router(name: str, candidates: list[str]) -> None:
    names = built().endpoints.names
    assert list(map(str, names.candidates(names.resolve(name, ANYBODY)))) == candidates


@pytest.mark.parametrize("name", ["openai#a/gpt-4o-mini", "route/other", "other/model", "/gpt-5", "openai/", "gpt-5"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        built().endpoints.names.resolve(name, ANYBODY)
    assert caught.value.error.status == 404


def test_a_list_of_names_has_aliases_and_routes() -> None:
    names = built().endpoints.names
    assert names.listed(ANYBODY) == ["fast", "route/gpt-*", "route/smart", "route/quick"]
    assert names.offered() == {"openai", "groq"}


def test_fields_of_a_protocol_reach_a_provider_with_several_keys() -> None:
    names = built().endpoints.names
    scopes = frozenset(names.scopes["openai"])
    assert scopes
    assert names.lacking([ModelConfig.route("gpt-5")], scopes) is None
    assert names.lacking([ModelConfig("groq", "small")], scopes) is None


def test_a_reservation_takes_the_dearest_model_behind_a_name() -> None:
    accounts = built().endpoints.accounts

    def costs(model: ModelConfig) -> list[float]:
        return accounts._costs(ChatRequest(attrs.evolve(model, max_tokens=1000), "hello"), 1000)

    direct = costs(ModelConfig("openai", "gpt-4o-mini"))
    assert direct[0] > 0
    assert costs(ModelConfig.route("gpt-4o-mini")) == direct
    assert costs(ModelConfig("groq", "small")) == direct


def test_an_alias_must_lead_to_a_model() -> None:
    for target, named in (("nobody/x", "no provider 'nobody'"), ("route/other", "no route 'other'")):
        with pytest.raises(SettingsError, match=named):
            built(serve={"aliases": {"fast": [target]}})
    assert built(serve={"aliases": {"fast": ["route/quick"]}})


def test_no_policy_can_restart_an_answer() -> None:
    choice = {"model": "groq/small", "policy": {"onInterrupt": "restart"}}
    for sections, named in (
        ({"runtime": {"router": {"onInterrupt": "restart"}}}, "runtime.router"),
        ({"routes": {"r": {"choices": ["groq/small"], "policy": {"onInterrupt": "restart"}}}}, "routes.r.policy"),
        ({"routes": {"r": {"choices": [choice]}}}, r"routes.r.choices\[0\].policy"),
    ):
        with pytest.raises(SettingsError, match=named):
            built(aliases={}, **sections)


def test_a_wrong_variable_disables_its_provider_only(caplog: pytest.LogCaptureFixture) -> None:
    gateway = build_gateway(Settings.from_mapping(CONFIG, {"CEREBRAS_ENDPOINT": "of another program"}))
    assert {one.status for one in gateway.router.statuses() if one.provider == "cerebras"} == {"disabled"}
    assert "provider cerebras is disabled" in caplog.text


def test_models_are_listed_if_every_model_can_be_used() -> None:
    sandbox = ("openai/gpt-4o-mini", "groq/llama-3.3-70b-versatile")
    anything = Settings.from_mapping({"providers": CONFIG["providers"]}, {})
    names = build_gateway(anything, models=sandbox).endpoints.names
    assert names.listed(ANYBODY) == [*sandbox]
    assert names.listed(Client("one", models=("groq/*",))) == ["groq/llama-3.3-70b-versatile"]
    aliases = Settings.from_mapping({**CONFIG, "serve": {**CONFIG["serve"], "allow": "aliases"}}, {})
    some = build_gateway(aliases, models=sandbox).endpoints.names
    assert not {*some.listed(ANYBODY)} & {*sandbox}


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [("fats", "did you mean fast"), ("smart", "did you mean route/smart"), ("opnai/*", "there are fast, route/gpt")],
)
def test_a_pattern_of_a_key_must_match_a_name(pattern: str, hint: str) -> None:
    key = {"name": "team", "key": "k" * 20, "models": [pattern]}
    with pytest.raises(SettingsError, match=f"serve.keys.team.models: '{re.escape(pattern)}' is no alias.*{hint}"):
        built(serve={"aliases": {"fast": ["openai/gpt-4o-mini"]}, "keys": [key]})


@pytest.mark.parametrize("pattern", ["fast", "f*", "route/*", "route/gpt-5", "openai/*", "groq/small", "*/gpt-4o", "*"])
def test_a_pattern_of_a_key_matches_names_and_providers(pattern: str) -> None:
    key = {"name": "team", "key": "k" * 20, "models": [pattern]}
    built(serve={"aliases": {"fast": ["openai/gpt-4o-mini"]}, "keys": [key]})


@pytest.mark.parametrize(
    ("key", "warning"),
    [
        ({"key": "k" * 15}, "serve.keys.team: the key has fewer than 16 characters"),
        ({"key": "k" * 16, "budget": {"amount": 5}}, "groq/llama-3.3-70b-versatile has no price: calls of route/smart"),
        ({"key": "k" * 16, "budget": {"amount": 5}, "models": ["fast"]}, ""),
    ],
)
def test_the_start_warns_of_doubtful_keys(key: dict[str, Any], warning: str, caplog: pytest.LogCaptureFixture) -> None:
    built(serve={"aliases": {"fast": ["openai/gpt-4o-mini"]}, "keys": [{"name": "team", **key}]})
    assert warning in caplog.text
    assert bool(caplog.text) is bool(warning)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt-4o-mini", "did you mean openai/gpt-4o-mini?"),
        ("smart", "did you mean route/smart?"),
        ("fasst", "did you mean fast?"),
        ("opnai/gpt-4o", "this gateway has fast, route/"),
    ],
)
def test_an_unknown_name_has_a_hint(name: str, hint: str) -> None:
    with pytest.raises(RequestRejected) as caught:
        built().endpoints.names.resolve(name, ANYBODY)
    assert hint in caught.value.error.message


def test_a_key_that_may_use_a_provider_is_told_so() -> None:
    client = Client("team", ("openai/*",))
    with pytest.raises(RequestRejected, match=r"may not use the model 'groq/x'; it can use openai/\*"):
        built().endpoints.names.resolve("groq/x", client)
