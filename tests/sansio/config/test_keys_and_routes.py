"""Keys, rules, routes that extend each other, and aliases in a configuration."""

from __future__ import annotations

from typing import Any

import pytest

from turnout.config.settings import Settings, SettingsError
from turnout.failures import FailureClass
from turnout.providers import CATALOG, ProviderSpec
from turnout.providers.keys import KeyedProvider
from turnout.routing.policy.classify import Action, Rule
from turnout.routing.policy.settings import Policy


def settings(config: dict[str, Any], **env: str) -> Settings:
    return Settings.from_mapping(config, env)


def accounts(config: dict[str, Any], **env: str) -> list[str]:
    built = settings(config, **env).build_providers()[0].provider
    return [account.name for account in built.accounts] if isinstance(built, KeyedProvider) else [built.name]


def test_a_provider_may_have_several_keys() -> None:
    assert accounts({"providers": {"openai": {"apiKeys": ["sk-one", "sk-two"]}}}) == ["openai#1", "openai#2"]
    assert accounts({"providers": {"openai": {"apiKeys": {"a": "sk-one", "b": "${B}"}}}}, B="sk-b") == [
        "openai#a",
        "openai#b",
    ]
    assert accounts({"providers": {"openai": {"apiKeys": ["sk-one", "${UNSET}"]}}}) == ["openai#1"]
    assert accounts({"providers": {"openai": {"apiKeys": "${KEYS}"}}}, KEYS="sk-one, sk-two") == [
        "openai#1",
        "openai#2",
    ]


def test_a_variable_may_hold_several_keys() -> None:
    assert accounts({}, OPENAI_API_KEYS="sk-one,sk-two", OPENAI_API_KEY="sk-three") == ["openai#1", "openai#2"]
    assert accounts({}, OPENAI_API_KEYS=" sk-one ,") == ["openai"]


@pytest.mark.parametrize("entry", [entry for entry in CATALOG.values() if entry.key_env], ids=lambda entry: entry.name)
def test_several_keys_in_the_variable_of_one_are_refused(entry: ProviderSpec) -> None:
    variables = {entry.key_env[0]: "sk-secret1, sk-secret2"}
    built = {made.provider.name: made for made in Settings.from_mapping({}, variables).build_providers()}
    assert not built[entry.name].enabled
    assert f"{entry.key_env[0]}S" in built[entry.name].reason
    with pytest.raises(SettingsError, match=f"{entry.key_env[0]}S") as caught:
        Settings.from_mapping({"providers": {entry.name: {}}}, variables).build_providers()
    assert "sk-secret" not in str(caught.value) + built[entry.name].reason


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            {"apiKey": "sk-one", "apiKeys": ["sk-two"]},
            "providers.openai: write apiKey for one key or apiKeys",
        ),
        ({"apiKeys": 3}, "providers.openai.apiKeys: a list of keys, or a mapping"),
        ({"apiKeys": ["sk-one", 3]}, "providers.openai.apiKeys[1]: text was expected"),
        ({"apiKeys": ["sk-one", "sk-one"]}, "providers.openai"),
        ({"apiKey": "os.environ/OPENAI_API_KEY"}, "providers.openai.apiKey: write ${OPENAI_API_KEY} for a variable"),
        ({"endpoint": "os.environ/BASE"}, "providers.openai.endpoint: write ${BASE} for a variable"),
    ],
)
def test_wrong_keys_are_named_with_their_place(section: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings({"providers": {"openai": section}}).build_providers()
    assert message in str(caught.value)
    assert "sk-" not in str(caught.value)


def test_a_rule_states_counts_and_cooldowns_for_a_class() -> None:
    rules = {"rate-limit": {"action": "retry", "maxRetries": 1, "cooldown": "15s"}, "groq:server": {"maxRetries": 0}}
    fallbacks = {"context-length": ["gemini/gemini-2.5-pro"], "content-filter": "mistral/mistral-large-latest"}
    policy = settings({"runtime": {"router": {"rules": rules, "fallbacks": fallbacks}}}).policy()
    assert policy.rule(FailureClass.RATE_LIMIT, "x") == Rule(Action.RETRY, cooldown=15.0, max_retries=1)
    assert policy.rule(FailureClass.SERVER, "groq") == Rule(Action.RETRY, health=True, max_retries=0)
    assert policy.rule(FailureClass.CONTENT_FILTER, "x").action is Action.FALLBACK
    assert list(map(str, policy.fallbacks["context-length"])) == ["gemini/gemini-2.5-pro"]


def test_a_route_extends_another_one() -> None:
    routes = {
        "fast": {
            "strategy": "weighted",
            "choices": ["groq/a", "openai/b"],
            "policy": {"maxRetries": 0, "timeout": "5s"},
        },
        "patient": {"extends": "fast", "policy": {"timeout": "90s"}},
        "other": {"extends": "patient", "choices": ["groq/c"], "strategy": "ordered"},
    }
    fast, patient, other = settings({"routes": routes}).routes
    assert (patient.choices, patient.strategy) == (fast.choices, "weighted")
    assert patient.policy == Policy(max_retries=0, timeout=90.0)
    assert ([str(choice.model) for choice in other.choices], other.strategy, other.policy) == (
        ["groq/c"],
        "ordered",
        patient.policy,
    )


def test_a_choice_and_a_wildcard_route_in_a_file() -> None:
    routes = {"gpt-*": [{"model": "azure/gpt-*", "policy": {"attemptTimeout": "20s"}}, "openai/gpt-*"]}
    (route,) = settings({"routes": routes}).routes
    assert route.choices[0].policy == Policy(attempt_timeout=20.0)
    assert route.captured("gpt-5") == "5"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"routes": {"a": {"extends": "bb"}, "b": ["x/y"]}},
            "routes.a.extends: there is no route named 'bb'; did you",
        ),
        ({"routes": {"a": {"extends": "b"}, "b": {"extends": "a"}}}, "extend each other"),
        ({"routes": {"a": {"extends": "a"}}}, "extend each other"),
        ({"routes": {"a": ["x/*"]}}, "routes.a: Route 'a' holds x/*: only a route with '*' in its name can"),
        ({"routes": {"a*b*": ["x/y"]}}, "more than one '*'"),
        ({"aliases": {"a": 3}}, "aliases.a: text was expected"),
        ({"aliases": {"a": None}}, "aliases.a: a model or a route was expected"),
        (
            {"runtime": {"router": {"rules": {"server": {"maxRetry": 1}}}}},
            "router.rules.server.max_retry: no such",
        ),
        (
            {"runtime": {"router": {"fallbacks": {"server": [3]}}}},
            "fallbacks.server[0]: text was expected",
        ),
    ],
)
def test_a_wrong_route_is_named_with_its_place(config: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(config)
    assert message in str(caught.value)


def test_aliases_are_read() -> None:
    assert settings({"aliases": {"cheap": "fast", "openai/gpt-4": "openai/gpt-4.1"}}).aliases == {
        "cheap": "fast",
        "openai/gpt-4": "openai/gpt-4.1",
    }
