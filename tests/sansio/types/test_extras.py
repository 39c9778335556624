"""Fields of one vendor: who receives them."""

from __future__ import annotations

import pytest

from turnout import ModelConfig
from turnout.providers import CATALOG
from turnout.types.extras import SCOPES, merge_extra, scoped_fields


def test_scopes_are_the_dialects_and_the_providers_of_the_catalog() -> None:
    assert set(CATALOG) | {spec.dialect for spec in CATALOG.values()} | {"openai-responses"} == SCOPES


def test_scoped_fields_replace_more_general_ones() -> None:
    extra = {"seed": 1, "openai-chat": {"seed": 2, "user": "a"}, "openai": {"seed": 3}, "gemini": {"seed": 4}}
    assert scoped_fields(extra, ("openai-chat", "openai")) == {"seed": 3, "user": "a"}
    assert scoped_fields(extra, ("openai-chat", "groq")) == {"seed": 2, "user": "a"}
    assert scoped_fields(extra, ("cohere",)) == {"seed": 1}


def test_a_field_with_the_name_of_a_scope_is_a_scope_only_for_a_provider_of_that_name() -> None:
    extra = {"house": {"a": 1}, "metadata": {"b": 2}}
    assert scoped_fields(extra, ("openai-chat", "house")) == {"a": 1, "metadata": {"b": 2}}


@pytest.mark.parametrize("scope", sorted(SCOPES))
def test_cache_control_reaches_its_owners_only(scope: str) -> None:
    given = scoped_fields({"cache_control": {"type": "ephemeral"}}, (scope,), flat="owned")
    assert bool(given) is (scope in ("anthropic", "bedrock", "openrouter", "openai-compatible"))


def test_flat_fields_can_be_left_out() -> None:
    assert scoped_fields({"a": 1, "gemini": {"b": 2}}, ("gemini",), flat="none") == {"b": 2}


def test_a_call_s_settings_go_over_those_of_a_route_s_model_inside_each_scope() -> None:
    under = {"anthropic": {"a": 1, "b": 1}, "thinking": {"type": "enabled", "budget_tokens": 9}}
    over = {"anthropic": {"b": 2}, "gemini": {"c": 3}, "thinking": {"type": "adaptive"}}
    merged = {"anthropic": {"a": 1, "b": 2}, "gemini": {"c": 3}, "thinking": {"type": "adaptive"}}
    assert merge_extra(under, over) == merged
    model = ModelConfig.route("fast", extra=over).over(ModelConfig("anthropic", "m", extra=under))
    assert model.extra == merged
