"""A wrong field of an entry is refused when the entry is made, with the field and what it takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from turnout.config.settings import Settings, SettingsError
from turnout.errors import QuotaExceeded
from turnout.failures import FailureClass
from turnout.providers import ModelRule, OpenAICompat, ProviderSpec, create
from turnout_io.sync import Router

ACME: dict[str, Any] = {
    "name": "acme",
    "title": "Acme",
    "dialect": "openai-chat",
    "base_url": "https://api.acme.test/v1",
}


def spec(**fields: Any) -> ProviderSpec:
    return ProviderSpec(**ACME | fields)


def rule(**fields: Any) -> ModelRule:
    given: dict[str, Any] = {"pattern": "acme-"} | fields
    return ModelRule(**given)


@pytest.mark.parametrize(
    ("make", "fields", "told"),
    [
        (spec, {"dialect": "openai"}, "ProviderSpec.dialect must be openai-chat, gemini, ollama, .* not 'openai'"),
        (spec, {"name": "acme/eu"}, "ProviderSpec.name must not hold '/', as 'acme/eu' does: .*write 'acme-eu'"),
        (spec, {"name": " "}, "ProviderSpec.name must not be empty"),
        (spec, {"name": "route"}, "the name 'route' is kept for routes"),
        (spec, {"base_url": "api.acme.test/v1"}, r"base_url does not begin with https?://.*like https://api"),
        (spec, {"base_url": "https://api.acme.test/v1?x=1"}, "base_url has a query"),
        (spec, {"base_url": None}, "base_url must be a str, not None"),
        (spec, {"key_env": "ACME_API_KEY"}, r"key_env must be a list or tuple: write \['ACME_API_KEY'\]"),
        (spec, {"key_env": [None]}, r"ProviderSpec.key_env\[0\] must be a str, not None"),
        (spec, {"option_env": {"regoin": ("X",)}}, "option_env: there is no 'regoin'; did you mean region"),
        (spec, {"option_env": {"region": "X"}}, r"option_env\['region'\] must be a tuple of variables, not 'X'"),
        (spec, {"needs_key": "no"}, "needs_key must be a bool, not str"),
        (spec, {"capabilities": {"chta"}}, "capabilities: there is no 'chta'; did you mean chat"),
        (spec, {"embedding_batch": 0}, "embedding_batch must be at least 1"),
        (spec, {"openai_compat": {}}, "openai_compat must be an OpenAICompat, not dict"),
        (spec, {"schemas": True}, "schemas must be a SchemaSubset, not bool"),
        (spec, {"apis": ("response",)}, "apis: there is no 'response'; did you mean responses"),
        (
            spec,
            {"error_codes": {"busy": "quota"}},
            r"error_codes\['busy'\] must be a class .*QuotaExceeded, not",
        ),
        (spec, {"error_codes": {"busy": FailureClass.QUOTA}}, r"error_codes\['busy'\] must be a class"),
        (spec, {"error_codes": {"busy": ValueError}}, r"error_codes\['busy'\] must be a class"),
        (spec, {"error_codes": {503: QuotaExceeded}}, "error_codes must have texts as keys, not 503"),
        (spec, {"headers": {"x y": "z"}}, "headers: 'x y' is not the name of a header field"),
        (spec, {"models": rule()}, "models must be a list or tuple, not ModelRule"),
        (spec, {"models": ["acme-1"]}, r"models\[0\] must be a ModelRule, not str"),
        (spec, {"system_in_turns": "("}, r"system_in_turns is not a regular expression: '\('"),
        (spec, {"reasoning_replay": [("x", "reasoning")]}, r"reasoning_replay\[0\]: there is no 'reasoning'; did"),
        (spec, {"context_windows": {"x": 5}}, "context_windows must be a list or tuple, not dict"),
        (spec, {"context_windows": [("x", "5")]}, r"context_windows\[0\] must end with a whole number of tokens"),
        (spec, {"context_windows": ["x"]}, r"context_windows\[0\] must be a pair"),
        (spec, {"idempotency_header": "a b"}, "headers: 'a b' is not the name"),
        (spec, {"url": "x"}, "url"),
        (OpenAICompat, {"unsupported": "temperature"}, r"OpenAICompat.unsupported .*: write \['temperature'\]"),
        (OpenAICompat, {"unsupported": {"temperatur"}}, "unsupported: there is no 'temperatur'; did you mean temperat"),
        (OpenAICompat, {"rename": {"sead": "x"}}, "rename: there is no 'sead'; did you mean seed"),
        (OpenAICompat, {"rename": {"seed": 1}}, r"rename\['seed'\] must be a str, not int"),
        (OpenAICompat, {"rename": [("seed", "x")]}, "rename must be a mapping, not list"),
        (OpenAICompat, {"max_tokens": "max_new_tokens"}, "max_tokens must be max_tokens or max_completion_tokens, not"),
        (OpenAICompat, {"tool_choices": {"any"}}, "tool_choices: there is no 'any'"),
        (OpenAICompat, {"max_stop_sequences": "1"}, "max_stop_sequences must be an int, not str"),
        (OpenAICompat, {"max_temperature": "1"}, "max_temperature must be a number of at least 0, not '1'"),
        (OpenAICompat, {"reasoning_param": "effort"}, "reasoning_param must be reasoning_effort, .* not 'effort'"),
        (OpenAICompat, {"reasoning_replay_field": "x"}, "reasoning_replay_field must be none, "),
        (OpenAICompat, {"prefill_path": "beta"}, "prefill_path must begin with a slash: '/beta'"),
        (OpenAICompat, {"call_id_length": 0}, "call_id_length must be at least 1"),
        (OpenAICompat, {"extra_body": {"x": {1}}}, r"extra_body\['x'\] must be a value that JSON can hold, not set"),
        (OpenAICompat, {"logprobs": True}, "logprobs must be flag or count, not True"),
        (rule, {"pattern": "*"}, r"ModelRule.pattern is not a regular expression: '\*'"),
        (rule, {"unsupported": "seed"}, r"ModelRule.unsupported must be a list or tuple: write \['seed'\]"),
        (rule, {"unsupported_when_reasoning": ["tool"]}, "unsupported_when_reasoning: there is no 'tool'"),
        (rule, {"mutually_exclusive": ("top_pp",)}, "mutually_exclusive: there is no 'top_pp'; did you mean top_p"),
        (rule, {"reasoning_efforts": ("hihg",)}, "reasoning_efforts: there is no 'hihg'; did you mean high"),
        (rule, {"needs_responses": True}, "needs_responses must be never, "),
        (rule, {"context_window": 1.5}, "context_window must be an int, not float"),
        (rule, {"prefill": True}, "prefill must be a Mapping, not bool"),
        (rule, {"unsuported": set()}, "unsuported.*did you mean unsupported"),
    ],
)
def test_a_wrong_field_is_named(make: Callable[..., object], fields: dict[str, Any], told: str) -> None:
    with pytest.raises((TypeError, ValueError), match=told):
        make(**fields)


def test_lists_and_sets_are_taken_and_a_slash_is_left_out() -> None:
    made = spec(
        base_url="https://api.acme.test/v1/",
        key_env=["ACME_API_KEY"],
        models=[rule(unsupported={"seed"})],
        openai_compat=OpenAICompat(unsupported=["top_k"]),
        error_codes={"busy": QuotaExceeded},
    )
    assert made.base_url == "https://api.acme.test/v1"
    assert made.key_env == ("ACME_API_KEY",)
    assert made.models[0].unsupported == {"seed"}
    assert made.openai_compat.unsupported == {"top_k"}
    assert create(made).missing_env == ("ACME_API_KEY",)


@pytest.mark.parametrize("entry", [None, {"name": "acme"}, OpenAICompat()])
def test_create_takes_a_name_or_an_entry(entry: Any) -> None:
    with pytest.raises(TypeError, match="create takes the name of a provider of the catalog, or a ProviderSpec, not"):
        create(entry)


def test_a_second_account_has_no_slash_in_its_name_either() -> None:
    with pytest.raises(ValueError, match="name must not hold '/', as 'openai/eu' does"):
        create("openai", name="openai/eu")


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        (spec(), r"entries must be a list of ProviderSpec, such as \[acme\], not ProviderSpec"),
        ([ACME], r"entries\[0\] must be a ProviderSpec, not dict"),
        ("acme", r"entries\[0\] must be a ProviderSpec, not str"),
    ],
)
def test_entries_are_a_list_of_entries(entries: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        Settings.from_env({}, entries)
    with pytest.raises(TypeError, match=told):
        Router.from_env(entries=entries, environ={}, dotenv=None)


def test_a_section_has_no_slash_in_its_name_either() -> None:
    settings = Settings.from_mapping({"providers": {"acme/eu": {"kind": "openai", "apiKey": "k"}}}, {})
    with pytest.raises(SettingsError, match=r"acme/eu.*must not hold '/'"):
        settings.build_providers()
