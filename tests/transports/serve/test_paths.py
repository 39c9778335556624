"""Paths, and the names and lists of models."""

from __future__ import annotations

import pytest

from tests.transports.serve.world import document, in_memory, world
from turnout.routing.policy.routes import Route

ALIASES = {"aliases": {"fast": ["openai/gpt-4o-mini", "groq/llama-3.1-8b-instant"]}}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("GET", "/ready", 200),
        ("HEAD", "/health", 200),
        ("GET", "/v1/health", 200),
        ("GET", "/v1/models", 200),
        ("GET", "/models/", 200),
        ("GET", "/v1/v1/models", 200),
        ("GET", "/v1/models/fast", 200),
        ("GET", "/v1/models/openai/gpt-4o-mini", 200),
        ("GET", "/v1/models/none", 404),
        ("GET", "/metrics", 200),
        ("HEAD", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("OPTIONS", "/v1/chat/completions", 405),
    ],
)
@in_memory
async def test_paths(method: str, path: str, status: int) -> None:
    async with world(ALIASES) as w:
        reply = await w.client().ask(method, path)
        assert reply.status == status
        if method == "HEAD":
            assert reply.body == b""
        if status == 405:
            assert reply.headers["allow"] == ("GET, HEAD" if path == "/v1/models" else "POST")


@in_memory
async def test_models_are_listed_in_the_client_s_form() -> None:
    routes = [Route("smart", ["openai/gpt-4o"]), Route("gpt-*", ["openai/gpt-*"])]
    async with world(ALIASES, routes=routes) as w:
        client = w.client()
        models = (await client.ask("GET", "/v1/models")).json
        assert [model["id"] for model in models["data"]] == ["fast", "route/smart"]
        assert models["object"] == "list"
        models = (await client.ask("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})).json
        assert [model["type"] for model in models["data"]] == ["model", "model"]
        assert models["first_id"] == "fast"
        for path, name in (("fast", "fast"), ("route/smart", "route/smart"), ("route%2Fsmart", "route/smart")):
            assert (await client.ask("GET", f"/v1/models/{path}")).json["id"] == name
        assert (await client.ask("GET", "/v1/models/a%00b%zz%FF")).status == 404


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("fast", 200),
        ("route/smart", 200),
        ("groq/llama-3.1-8b-instant", 200),
        ("gpt-4o", 404),
        ("route/none", 404),
        ("nobody/gpt-4o", 404),
        ("openai/", 404),
        ("openai/a\nb", 404),
        ("openai/" + "a" * 250, 404),
    ],
)
@in_memory
async def test_model_names(name: str, status: int) -> None:
    async with world(ALIASES, routes=[Route("smart", ["openai/gpt-4o"])]) as w:
        w.upstream.add(document())
        reply = await w.client().chat(model=name)
        assert reply.status == status
        if status == 404:
            assert reply.json["error"]["code"] == "model_not_found"
            assert "this gateway has fast" in reply.json["error"]["message"]
