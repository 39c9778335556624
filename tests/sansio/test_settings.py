"""Settings from mappings: the shape of the file, durations, variables, and errors that say where."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.providers import CATALOG
from turnout.routing.policy import Policy
from turnout.settings import Settings, SettingsError, duration_seconds, expand, snake_case

FILE: dict[str, Any] = {
    "providers": {
        "openai": {"endpoint": "${OPENAI_ENDPOINT}", "apiKey": "${MY_KEY}", "organization": "org-1"},
        "gemini": {"api_key": "k2", "disabled": True},
        "my-vllm": {"kind": "openai-compatible", "endpoint": "http://10.0.0.7:8000/v1"},
    },
    "runtime": {
        "router": {
            "maxProviderConcurrency": 16,
            "providerTimeout": "55s",
            "provider_retries": "1",
            "providerBackoff": "50ms",
            "idleTimeout": "1m30s",
            "onFull": "reject",
        }
    },
}


def test_the_file_s_shape_makes_a_router() -> None:
    settings = Settings.from_mapping(FILE, {"MY_KEY": "k1"})
    openai, gemini, vllm, *rest = settings.providers
    assert (openai.api_key, openai.endpoint, openai.options) == ("k1", None, {"organization": "org-1"})
    assert (gemini.api_key, gemini.enabled) == ("k2", False)
    assert (vllm.name, vllm.kind, vllm.endpoint) == ("my-vllm", "openai-compatible", "http://10.0.0.7:8000/v1")
    assert {provider.name for provider in rest} == set(CATALOG) - {"openai", "gemini"}
    policy = settings.policy(max_attempts=3)
    assert (policy.max_concurrency, policy.timeout, policy.retries, policy.backoff) == (16, 55.0, 1, 0.05)
    assert (policy.timers.idle, policy.on_full, policy.max_attempts) == (90.0, "reject", 3)
    built = settings.build_providers()
    assert [(provider.name, enabled) for provider, enabled in built][:3] == [
        ("openai", True),
        ("gemini", False),
        ("my-vllm", True),
    ]
    assert "k1" not in repr(settings)


def test_the_environment_alone_configures_every_provider() -> None:
    env = {"GOOGLE_API_KEY": "g", "OPENAI_BASE_URL": "http://x.test/v1", "OLLAMA_HOST": "0.0.0.0", "OPENAI_ORG": "o"}
    providers = {provider.name: provider for provider in Settings.from_env(env).providers}
    assert list(providers) == list(CATALOG)
    assert providers["gemini"].api_key == "g"
    assert providers["openai"].endpoint == "http://x.test/v1"
    assert providers["openai"].options == {"organization": "o"}
    missing = {provider.name: provider.missing_env for provider, _ in Settings.from_env(env).build_providers()}
    assert missing["gemini"] == missing["ollama"] == ()
    assert missing["openai"] == ("OPENAI_API_KEY",)
    assert missing["openai-compatible"] == ("OPENAI_COMPATIBLE_ENDPOINT",)
    assert Settings.from_env({}).policy() == Policy()


def test_a_second_account_does_not_take_the_first_one_s_key() -> None:
    settings = Settings.from_mapping({"providers": {"openai-eu": {"kind": "openai"}}}, {"OPENAI_API_KEY": "k"})
    assert settings.providers[0].api_key is None


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"provders": {}}, "provders: no such setting; did you mean providers"),
        ({"providers": []}, "providers: a mapping was expected"),
        ({"providers": {"opnai": {}}}, "no provider named 'opnai' is in the catalog; did you mean openai"),
        (
            {"providers": {"openai": {"endpont": "x"}}},
            "providers.openai.endpont: no such setting; did you mean endpoint",
        ),
        ({"providers": {"openai": {"apiKey": 3}}}, "providers.openai.apiKey: text was expected"),
        ({"providers": {"openai": {"enabled": "yes"}}}, "providers.openai.enabled: true or false"),
        ({"runtime": {"rooter": {}}}, "runtime.rooter"),
        ({"runtime": {"router": {"providerTimeout": "soon"}}}, "runtime.router.provider_timeout: a duration"),
        ({"runtime": {"router": {"providerRetries": 1.5}}}, "runtime.router.provider_retries: a whole number"),
        ({"runtime": {"router": {"maxProviderConcurrency": 0}}}, "runtime.router: Policy.max_concurrency"),
        ({"runtime": {"router": {"zzz": 1}}}, "runtime.router.zzz: no such setting; known are"),
    ],
)
def test_a_mistake_is_told_with_its_place(config: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(config, {})
    assert told in str(caught.value)


def test_an_unknown_override_is_told() -> None:
    with pytest.raises(SettingsError, match="max_concurency is no field of Policy; did you mean max_concurrency"):
        Settings.from_env({}).policy(max_concurency=3)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("55s", 55), ("50ms", 0.05), ("1m30s", 90), ("2h", 7200), ("1.5s", 1.5), ("7", 7), (3, 3), ("250us", 0.00025)],
)
def test_durations(text: object, seconds: float) -> None:
    assert duration_seconds(text, "here") == pytest.approx(seconds)


@given(st.text())
def test_any_text_is_a_duration_or_a_clear_error(text: str) -> None:
    try:
        assert duration_seconds(text, "runtime.x") >= 0
    except SettingsError as error:
        assert str(error).startswith("runtime.x: ")


def test_variables_are_expanded_everywhere() -> None:
    env = {"HOST": "h", "EMPTY": ""}
    assert expand({"a": ["http://${HOST}/${NONE:-v1}"], "b": "${NONE}", "c": 3, "d": "${EMPTY:-x}"}, env) == {
        "a": ["http://h/v1"],
        "b": None,
        "c": 3,
        "d": "x",
    }


@given(st.from_regex(r"[a-z]{2,}(_[a-z]{2,})*", fullmatch=True))
def test_camel_case_is_snake_case(name: str) -> None:
    first, *others = name.split("_")
    assert snake_case(first + "".join(word.capitalize() for word in others)) == name
