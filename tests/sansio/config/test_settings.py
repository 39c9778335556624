"""Settings from mappings: the shape of the file, durations, variables, and errors that say where."""

from __future__ import annotations

import datetime
import traceback
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.chat import ChatRequest, ModelConfig
from turnout.config.router_settings import _POLICY
from turnout.config.settings import Settings, SettingsError
from turnout.config.shared_settings import read_shared
from turnout.config.values import duration_seconds, expand, snake_case
from turnout.failures import FailureClass
from turnout.messages import Message, Text, Thinking, ToolCall
from turnout.prices import Price
from turnout.providers import CATALOG, ProviderSpec, ResponseLimits
from turnout.providers.dialect import Dialect
from turnout.routing.policy.classify import Action
from turnout.routing.policy.routes import Choice
from turnout.routing.policy.settings import BreakerPolicy, Hedge, Limit, Policy

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
            "betweenTokensTimeout": "1m30s",
            "whenAtCapacity": "reject",
        }
    },
}


def test_the_file_s_shape_makes_a_router() -> None:
    settings = Settings.from_mapping(FILE, {"MY_KEY": "k1"})
    openai, gemini, vllm, *rest = settings.providers
    assert (openai.api_key, openai.base_url, openai.options) == ("k1", None, {"organization": "org-1"})
    assert (gemini.api_key, gemini.enabled) == ("k2", False)
    assert (vllm.name, vllm.kind, vllm.base_url) == ("my-vllm", "openai-compatible", "http://10.0.0.7:8000/v1")
    assert {provider.name for provider in rest} == set(CATALOG) - {"openai", "gemini"}
    policy = settings.policy(max_attempts=3)
    assert (policy.max_concurrency, policy.timeout, policy.max_retries, policy.backoff_initial) == (16, 55.0, 1, 0.05)
    assert (policy.timeouts.between_tokens, policy.when_at_capacity, policy.max_attempts) == (90.0, "reject", 3)
    built = settings.build_providers()
    assert [(each.provider.name, each.enabled) for each in built][:3] == [
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
    assert providers["openai"].base_url == "http://x.test/v1"
    assert providers["openai"].options == {"organization": "o"}
    missing = {each.provider.name: each.provider.missing_env for each in Settings.from_env(env).build_providers()}
    assert missing["gemini"] == missing["ollama"] == ()
    assert missing["openai"] == ("OPENAI_API_KEY",)
    assert missing["openai-compatible"] == ("OPENAI_COMPATIBLE_ENDPOINT",)
    assert Settings.from_env({}).policy() == Policy()


@pytest.mark.parametrize(
    ("env", "section", "host"),
    [
        # Programs of Google's cloud set a project for everybody: it is no wish for Vertex AI.
        ({"GOOGLE_CLOUD_PROJECT": "p"}, {}, "generativelanguage"),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_VERTEXAI": "true"}, {}, "aiplatform"),
        ({"GOOGLE_CLOUD_PROJECT": "p", "GOOGLE_GENAI_USE_VERTEXAI": "false"}, {}, "generativelanguage"),
        ({"GOOGLE_GENAI_USE_VERTEXAI": "1"}, {}, "aiplatform"),
        ({"GOOGLE_CLOUD_PROJECT": "p"}, {"access_token": "t"}, "aiplatform"),
        ({}, {"vertexProject": "p"}, "aiplatform"),
        ({}, {"vertex": True}, "aiplatform"),
    ],
)
def test_vertex_ai_is_a_choice(env: dict[str, str], section: dict[str, Any], host: str) -> None:
    settings = Settings.from_mapping({"providers": {"gemini": section}}, {"GEMINI_API_KEY": "k", **env})
    provider = settings.build_providers()[0].provider
    request = ChatRequest(ModelConfig("gemini", "gemini-4-argon"), [Message.user("x")])
    assert provider.chat(request).request.url.startswith(f"https://{host}.googleapis.com/")


def test_entries_of_one_s_own_are_as_those_of_the_catalog() -> None:
    acme = ProviderSpec(
        name="acme", title="Acme", dialect="openai-chat", base_url="https://a.test/v1", key_env=("ACME_KEY",)
    )
    here = attrs.evolve(CATALOG["groq"], base_url="https://groq.test/v1")
    config = {"providers": {"acme-eu": {"kind": "acme", "apiKey": "k2", "endpoint": "https://eu.test/v1"}}}
    settings = Settings.from_mapping(config, {"ACME_KEY": "k1"}, [acme, here])
    made = {provider.name: provider.build() for provider in settings.providers}
    assert set(made) == {*CATALOG, "acme", "acme-eu"}
    request = ChatRequest("acme/m", "hi")
    for name, url, key in (("acme", "https://a.test/v1", "k1"), ("acme-eu", "https://eu.test/v1", "k2")):
        asked = made[name].chat(request).request
        assert (asked.url, asked.headers.get("authorization")) == (f"{url}/chat/completions", f"Bearer {key}")
    assert made["groq"].chat(request).request.url.startswith("https://groq.test/v1")
    assert "acme" not in CATALOG
    with pytest.raises(SettingsError, match="no provider named 'acme'"):
        Settings.from_mapping(config, {})


def test_a_second_account_does_not_take_the_first_one_s_key() -> None:
    settings = Settings.from_mapping({"providers": {"openai-eu": {"kind": "openai"}}}, {"OPENAI_API_KEY": "k"})
    assert settings.providers[0].api_key is None


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"provders": {}}, "provders: no such setting; did you mean providers"),
        ({"providers": []}, "providers: a mapping was expected"),
        (
            {"timeout": 3},
            "timeout: no such setting: write it in the section of the router: runtime: {router: {timeout: …}}",
        ),
        (
            {"maxRetries": 3},
            "maxRetries: no such setting: write it in the section of the router: runtime: {router: {max",
        ),
        ({"runtime": {"timeout": 3}}, "runtime.timeout: no such setting: write it in the section of the router"),
        ({"openai": {"apiKey": "k"}}, "openai: no such setting: write providers: {openai: …}"),
        ({"model_list": []}, "model_list: no such setting: write routes: {fast: [openai/gpt-4o-mini, …]}"),
        ({"litellm_settings": {}}, "litellm_settings: no such setting: write runtime: {router: {…}}"),
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
        (
            {"runtime": {"router": {"timeouts": {"first_token": 3}}}},
            "router.timeouts: no such setting: each timer is a setting here: connectTimeout, responseHeadersTimeout",
        ),
        ({"runtime": {"router": {"limits": {"groq": {"rpm": 3}}}}}, "runtime.router.limits.groq.rpm: no such setting"),
        ({"runtime": {"router": {"hedge": {"budget": 7}}}}, "runtime.router.hedge: Hedge.budget must be at most 1"),
        ({"runtime": {"router": {"rules": {"sunspots": "stop"}}}}, "'sunspots' is not a failure class"),
        ({"runtime": {"router": {"rules": {"server": "panic"}}}}, "'panic' is not an action; known are"),
        (
            {"runtime": {"router": {"onInterrupt": "resume it"}}},
            "runtime.router: Policy.on_interrupt must be raise, restart or resume, not 'resume it'",
        ),
        ({"runtime": {"router": {"prices": {"m": {"prompt": 1}}}}}, "runtime.router.prices.m:"),
        ({"routes": {"fast": {"choices": []}}}, "routes.fast.choices: a list of models"),
        ({"routes": {"fast": ["gpt-4o"]}}, "routes.fast.choices[0]: a model is written provider/model"),
        ({"routes": {"fast": [{"weight": 1}]}}, "routes.fast.choices[0].model: a model was expected"),
        ({"routes": {"fast": [{"model": "a/b", "weight": -1}]}}, "routes.fast.choices[0]: Choice.weight"),
        ({"routes": {"fast": {"choices": ["a/b"], "strategy": "best"}}}, "routes.fast: Route.strategy must be one of"),
        ({"routes": ["a/b"]}, "routes: a mapping was expected"),
    ],
)
def test_a_mistake_is_told_with_its_place(config: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping(config, {})
    assert told in str(caught.value)


RULES: dict[str, Any] = {
    "runtime": {
        "router": {
            "attemptTimeout": "10s",
            "onInterrupt": "restart",
            "whenAllInCooldown": "wait",
            "maxCost": 0.05,
            "rules": {"content-filter": "fallback", "groq:rate-limit": "fallback"},
            "limits": {"groq": {"requestsPerMinute": 30, "tokensPerMinute": "6000", "maxConcurrency": 4}},
            "breaker": {"consecutiveFailures": 3, "breakDuration": "10s", "failureRatio": 0.6},
            "hedge": {"delay": "800ms", "budget": 0.05},
            "prices": {"gpt-4o-mini": {"prompt": 0.15, "completion": 0.6, "cached": 0.075}},
            "contextWindows": {"my-vllm/Qwen/Qwen3-8B": 32768},
        }
    },
    "routes": {
        "fast": {
            "strategy": "lowest-latency",
            "choices": [
                "groq/llama-3.3-70b",
                {"model": "openai/gpt-4o-mini", "tier": 1, "weight": 2, "temperature": 0},
            ],
            "policy": {"timeout": "5s"},
        },
        "plain": ["openai/gpt-4o-mini"],
    },
}


def test_a_file_sets_every_rule_and_names_routes() -> None:
    settings = Settings.from_mapping(RULES, {})
    policy = settings.policy()
    assert (policy.attempt_timeout, policy.on_interrupt, policy.when_all_in_cooldown, policy.max_cost) == (
        10.0,
        "restart",
        "wait",
        0.05,
    )
    assert policy.rule(FailureClass.CONTENT_FILTER, "openai").action is Action.FALLBACK
    assert policy.rule(FailureClass.RATE_LIMIT, "groq").action is Action.FALLBACK
    assert policy.rule(FailureClass.RATE_LIMIT, "openai").action is Action.RETRY
    assert policy.limits == {"groq": Limit(requests_per_minute=30, tokens_per_minute=6000, max_concurrency=4)}
    assert policy.breaker == BreakerPolicy(consecutive_failures=3, break_duration=10.0, failure_ratio=0.6)
    assert policy.hedge == Hedge(delay=0.8, budget=0.05)
    assert policy.prices == {"gpt-4o-mini": Price(0.15, 0.6, cached=0.075)}
    assert policy.context_windows == {"my-vllm/Qwen/Qwen3-8B": 32768}
    fast, plain = settings.routes
    assert (fast.name, fast.strategy, [choice.tier for choice in fast.choices]) == ("fast", "lowest-latency", [0, 1])
    assert fast.choices[1].model == ModelConfig("openai", "gpt-4o-mini", temperature=0)
    assert fast.policy is not None
    assert (set(fast.policy.stated), fast.policy.timeout) == ({"timeout"}, 5.0)
    assert plain.choices == (Choice(ModelConfig("openai", "gpt-4o-mini")),)


def test_breaker_and_hedge_can_be_off() -> None:
    policy = Settings.from_mapping({"runtime": {"router": {"breaker": False, "hedge": "off"}}}, {}).policy()
    assert (policy.breaker, policy.hedge) == (None, None)


def test_every_field_of_a_policy_can_be_set_in_a_file() -> None:
    fields = {field.name for field in attrs.fields(Policy)} - {"timeouts"}
    assert set(_POLICY) == fields


def test_an_unknown_override_is_told() -> None:
    with pytest.raises(SettingsError, match="a router has no setting 'max_concurency'; did you mean max_concurrency"):
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


@pytest.mark.full
@given(st.from_regex(r"[a-z]{2,}(_[a-z]{2,})*", fullmatch=True))
def test_camel_case_is_snake_case(name: str) -> None:
    first, *others = name.split("_")
    assert snake_case(first + "".join(word.capitalize() for word in others)) == name


@pytest.mark.parametrize(
    ("endpoint", "told"),
    [
        ("not a url", "holds white space"),
        ("ftp://x/y", "does not begin with http:// or https://"),
        ("http://", "names no host"),
        ("http://h:99999/v1", "no valid host or port"),
        ("http://ada:secret@h/v1", "holds a user name or password"),
        ("https://h/v1?key=secret", "has a query"),
        ("https://h/v1#part", "has a query"),
    ],
)
def test_an_endpoint_that_is_no_base_url_is_refused_before_anything_is_asked(endpoint: str, told: str) -> None:
    settings = Settings.from_mapping({}, {"OPENAI_ENDPOINT": endpoint})
    openai, *others = settings.build_providers()
    assert not openai.enabled
    assert openai.reason.startswith("providers.openai (or OPENAI_ENDPOINT")
    assert told in openai.reason
    assert "secret" not in openai.reason
    assert all(other.enabled and not other.reason for other in others)
    (named, *_) = Settings.from_mapping({"providers": {"openai": {"endpoint": endpoint}}}, {}).build_providers()
    assert named.reason == openai.reason


@pytest.mark.parametrize("field", ["endpoint", "baseUrl"])
def test_an_empty_address_is_refused_and_a_variable_that_is_not_set_is_not(field: str) -> None:
    for text in ("", " "):
        with pytest.raises(SettingsError, match=rf"providers.openai.{field}: the address is empty; leave the line out"):
            Settings.from_mapping({"providers": {"openai": {field: text}}}, {})
        with pytest.raises(SettingsError, match=r"shared.url: the address is empty"):
            read_shared({"url": text}, "shared")
    settings = Settings.from_mapping(
        {"providers": {"openai": {field: "${EMPTY}"}}}, {"EMPTY": "", "OPENAI_ENDPOINT": ""}
    )
    assert settings.providers[0].base_url is None


@pytest.mark.parametrize("key", ["sk-1\nx", "ключ"])
def test_a_key_that_no_header_can_hold_is_an_error_of_its_variable(key: str) -> None:
    settings = Settings.from_mapping({}, {"OPENAI_API_KEY": key})
    openai = next(one for one in settings.providers if one.name == "openai")
    with pytest.raises(SettingsError, match=r"providers.openai \(or OPENAI_API_KEY\): api_key holds a line break"):
        openai.build()


def test_a_wrong_variable_disables_the_provider_that_the_configuration_does_not_name() -> None:
    env = {"AWS_REGION": "eu central", "OPENAI_API_KEY": "k"}
    built = {each.provider.name: each for each in Settings.from_env(env).build_providers()}
    assert "region must be letters, digits and hyphens" in built["bedrock"].reason
    assert [name for name, each in built.items() if not each.enabled] == ["bedrock"]
    with pytest.raises(SettingsError, match="region must be letters"):
        Settings.from_mapping({"providers": {"bedrock": {}}}, env).build_providers()


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"runtime": {"router": {"timeout": "${VALUE}"}}}, "runtime.router.timeout"),
        ({"runtime": {"router": {"maxConcurrency": "${VALUE}"}}}, "runtime.router.maxConcurrency"),
        ({"providers": {"openai": {"enabled": "${VALUE}"}}}, "providers.openai.enabled"),
        ({"providers": {"openai": {"kind": "${VALUE}"}}}, "providers.openai"),
        ({"providers": {"openai": {"api": "${VALUE}"}}}, "providers.openai"),
        ({"providers": {"openai": {"unsupported": "${VALUE}"}}}, "providers.openai"),
        ({"providers": {"openai": {"headers": "${VALUE}"}}}, "providers.openai"),
        ({"providers": {"openai": {"headers": {"x": "${VALUE}\u0000"}}}}, "providers.openai"),
        ({"providers": {"openai": "${VALUE}"}}, "providers.openai"),
        ({"routes": "${VALUE}"}, "routes"),
        ({"routes": {"fast": ["route/${VALUE}"]}}, "routes.fast"),
        ({"providers": {"openai": {"apiKeys": "os.environ/${VALUE}"}}}, "providers.openai"),
    ],
)
def test_no_error_quotes_the_value_of_a_variable(config: dict[str, Any], place: str) -> None:
    env = {"VALUE": "-".join(("sk", "secret", "value"))}

    def use() -> None:
        settings = Settings.from_mapping(config, env)
        settings.policy()
        settings.build_providers()

    with pytest.raises(SettingsError) as caught:
        use()
    shown = "".join(traceback.format_exception(caught.value))
    assert "sk-secret" not in shown
    assert place.split(".")[0] in str(caught.value)


def test_a_provider_s_reasoning_is_switched_in_the_file() -> None:
    config = {"providers": {"deepseek": {"apiKey": "k", "reasoningReplay": "none"}}}
    provider = Settings.from_mapping(config, {}).build_providers()[0].provider
    turn = Message("assistant", [Thinking("hm"), Text("x")], tool_calls=[ToolCall("c", "f")], origin="deepseek")
    request = ChatRequest(ModelConfig("deepseek", "m"), [Message.user("x"), turn, Message.tool("c", "y")])
    assert b"reasoning_content" not in provider.chat(request).request.body
    with pytest.raises(SettingsError, match="reasoning_replay must be one of"):
        Settings.from_mapping({"providers": {"groq": {"reasoningReplay": "yes"}}}, {}).build_providers()


def test_limits_of_responses_are_in_the_file() -> None:
    limits = {"document": "128MB", "embeddings": 300_000_000, "errorBody": "1 KB", "event": "20mb", "output": None}
    config = {"providers": {"openai": {"apiKey": "k", "responseLimits": limits}}}
    provider = Settings.from_mapping(config, {}).build_providers()[0].provider
    assert isinstance(provider, Dialect)
    assert provider.account.limits == ResponseLimits(
        document=128 << 20, embeddings=300_000_000, error_body=1024, event=20 << 20
    )


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"document": "x"}, "providers.openai.responseLimits.document: a size such as 32MB was expected, not 'x'"),
        ({"document": 0}, "providers.openai.responseLimits: ResponseLimits.document must be at least 1, not 0"),
        ({"event": True}, "providers.openai.responseLimits.event: a size such as 32MB was expected, not True"),
        ({"documents": 1}, "providers.openai.responseLimits.documents: no such setting; did you mean document?"),
        ([1], "providers.openai.responseLimits: a mapping was expected, not list"),
    ],
)
def test_a_wrong_limit_of_responses(limits: object, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_mapping({"providers": {"openai": {"responseLimits": limits}}}, {})
    assert str(caught.value) == message


def test_budgets_of_a_file() -> None:
    budgets: list[dict[str, Any]] = [
        {"amount": 50, "per": "day"},
        {"amount": 5, "per": "month", "by": "provider", "zone": "+01:00"},
    ]
    budgets[1]["only"] = ["groq"]
    settings = Settings.from_mapping({"runtime": {"router": {"budgets": budgets}}}, {})
    day, month = settings.policy().budgets
    assert (day.amount, day.per, day.by) == (50.0, "day", "router")
    assert (month.only, month.zone) == (("groq",), datetime.timezone(datetime.timedelta(hours=1)))


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ({"amount": 5, "per": "year"}, "hour, day, week or month"),
        ({"amount": 5, "per": "day", "zone": "Europe/Berlin"}, "ZoneInfo"),
        ({"amount": "much", "per": "day"}, r"budgets\[0\].amount"),
        ({"amount": 5, "every": "day"}, "every"),
    ],
)
def test_a_wrong_budget_in_a_file(budget: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Settings.from_mapping({"runtime": {"router": {"budgets": [budget]}}}, {})
