"""The section `serve`: what it says, and errors that name the setting."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from turnout.chat import ModelConfig
from turnout.config.values import SettingsError
from turnout.routing import Budget
from turnout_io.serve import Address, AliasSettings, GatewaySettings, read_gateway_settings


def test_an_empty_section_serves_this_machine() -> None:
    settings = read_gateway_settings(None)
    assert settings == GatewaySettings()
    assert settings.listen == Address("127.0.0.1", 8080)
    assert settings.allows_any


def test_every_setting() -> None:
    settings = read_gateway_settings(
        {
            "listen": "0.0.0.0:9000",
            "aliases": {
                "fast": ["openai/gpt-4o-mini", {"model": "groq/llama", "temperature": 0}],
                "smart": "route/smart",
                "embed": {"models": ["openai/e", "azure/e"], "family": "e"},
            },
            "keys": [
                {
                    "name": "team",
                    "key": "secret",
                    "models": "fast",
                    "requestsPerMinute": 60,
                    "tokensPerMinute": "1000",
                    "maxConcurrency": 2,
                    "budget": {"amount": 50, "per": "day"},
                },
                {"name": "other", "sha256": "ab" * 32},
            ],
            "allow": "any",
            "headAfter": "10s",
            "grace": 5,
            "maxBody": "1MB",
            "maxBodies": "64MB",
            "maxTimeout": "5m",
            "maxConnections": 10,
            "maxInFlight": 4,
            "ignoreUnknown": False,
            "corsOrigins": ["https://a.test"],
            "tlsCertificate": "cert.pem",
            "tlsKey": "key.pem",
            "metrics": "9100",
            "budgetFile": "budget.jsonl",
            "idleTimeout": None,
        }
    )
    assert settings.listen == Address("0.0.0.0", 9000)
    assert settings.aliases == {
        "fast": AliasSettings(
            models=(ModelConfig("openai", "gpt-4o-mini"), ModelConfig("groq", "llama", temperature=0))
        ),
        "smart": AliasSettings(models=(ModelConfig.route("smart"),)),
        "embed": AliasSettings(models=(ModelConfig("openai", "e"), ModelConfig("azure", "e")), family="e"),
    }
    team, other = settings.keys
    assert team.digest == hashlib.sha256(b"secret").digest()
    assert (team.models, team.requests_per_minute, team.tokens_per_minute) == (("fast",), 60, 1000)
    assert team.budget == Budget(50, per="day")
    assert other.digest == b"\xab" * 32
    assert (settings.head_after, settings.grace, settings.max_body, settings.max_timeout) == (10, 5, 2**20, 300)
    assert settings.metrics == Address("127.0.0.1", 9100)
    assert settings.idle_timeout == 75
    assert settings.max_bodies == 64 * 2**20
    assert not settings.ignore_unknown


@pytest.mark.parametrize(
    ("section", "named"),
    [
        ([], "serve"),
        ({"listn": "x"}, "serve.listn: no such setting; did you mean listen"),
        ({"listen": "0.0.0.0:80"}, "serve.keys must have a key"),
        ({"listen": ":80"}, "serve.keys must have a key"),
        ({"listen": "localhost"}, "serve.listen"),
        ({"listen": "127.0.0.1:99999"}, "serve.listen"),
        ({"maxBody": "big"}, "serve.max_body"),
        ({"maxBody": True}, "serve.max_body"),
        ({"grace": "soon"}, "serve.grace"),
        ({"ignoreUnknown": "yes"}, "serve.ignore_unknown"),
        ({"allow": "all"}, "serve.allow"),
        ({"aliases": {"fast": "gpt-4o"}}, "serve.aliases.fast"),
        ({"aliases": {"fast": []}}, "serve.aliases.fast"),
        ({"aliases": {"fast": [5]}}, "serve.aliases.fast[0]"),
        ({"aliases": {"fast": [{"model": "a/b", "temprature": 1}]}}, "did you mean temperature"),
        ({"aliases": {"fast": [{"model": "a/b", "temperature": -1}]}}, "serve.aliases.fast[0]"),
        ({"keys": {"a": "b"}}, "serve.keys"),
        ({"keys": [{"key": "x"}]}, "serve.keys[0].name"),
        ({"keys": [{"name": "a", "key": None}]}, "must be set"),
        ({"keys": [{"name": "a", "key": " "}]}, "must be set"),
        ({"keys": [{"name": "a", "key": "x", "sha256": "ab" * 32}]}, "either `key` or `sha256`"),
        ({"keys": [{"name": "a", "sha256": "abc"}]}, "serve.keys[0].sha256"),
        ({"keys": [{"name": "a", "key": "x"}, {"name": "a", "key": "y"}]}, "the same name"),
        ({"keys": [{"name": "a", "key": "x"}, {"name": "b", "key": "x"}]}, "the same key"),
        ({"keys": [{"name": "a", "key": "x", "requestsPerMinute": 0}]}, "serve.keys[0].requests_per_minute"),
        ({"keys": [{"name": "a", "key": "x", "models": [1]}]}, "serve.keys[0].models"),
        ({"keys": [{"name": "a", "key": "x", "budget": {}}]}, "serve.keys[0].budget.amount"),
        ({"keys": [{"name": "a", "key": "x", "budget": {"amount": 0}}]}, "serve.keys[0].budget.amount"),
        ({"keys": [{"name": "a", "key": "x", "budget": {"amount": 1, "per": "year"}}]}, "serve.keys[0].budget.per"),
        ({"keys": [{"name": "a", "key": "x", "priority": "urgent"}]}, "serve.keys[0].priority: priority must be"),
        ({"keys": [{"name": "a", "key": "x", "priority": 10**400}]}, "serve.keys[0].priority: priority is too large"),
        ({"keys": [{"name": "a", "key": "x", "priority": -1}]}, "serve.keys[0].priority: priority must be"),
        ({"tlsKey": "key.pem"}, "serve.tlsCertificate"),
        ({"headAfter": 0}, "serve.headAfter: must be more than 0, not 0"),
        ({"idleTimeout": float("nan")}, "serve.idleTimeout: must be more than 0"),
        ({"writeTimeout": float("inf")}, "serve.writeTimeout: must be more than 0"),
        ({"grace": -1}, "serve.grace: must be 0 or more, not -1"),
        ({"maxConnections": 0}, "serve.maxConnections: must be more than 0, not 0"),
        ({"maxInFlight": -2}, "serve.maxInFlight: must be more than 0, not -2"),
        ({"maxBody": 0}, "serve.maxBody: must be more than 0, not 0"),
        ({"maxBodies": "1MB"}, "serve.maxBodies: must be at least serve.maxBody"),
    ],
)
def test_what_cannot_be_used_is_named(section: Any, named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        read_gateway_settings(section)
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("text", "host", "port", "loopback"),
    [
        ("127.0.0.1:80", "127.0.0.1", 80, True),
        ("localhost:80", "localhost", 80, True),
        ("[::1]:80", "::1", 80, True),
        ("8080", "127.0.0.1", 8080, True),
    ],
)
def test_addresses(text: str, host: str, port: int, loopback: bool) -> None:
    settings = read_gateway_settings({}, listen=text)
    assert settings.listen == Address(host, port)
    assert settings.listen.is_loopback is loopback
