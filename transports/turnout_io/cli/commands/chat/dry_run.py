"""The plan of a chat request: its candidates in order and the HTTP request of each one. Nothing is sent."""

from __future__ import annotations

import json
from typing import Any

import click

from turnout.chat import ChatRequest, ModelConfig
from turnout.errors import TurnoutError
from turnout.http import HttpRequest, shown_url
from turnout.prices import by_model
from turnout.providers.protocol import Provider
from turnout.redaction import HIDDEN, SECRET_HEADERS, SECRET_NAME, Redactor
from turnout.routing.policy.estimate import completion_tokens, prompt_tokens
from turnout_io.cli.router import Session

__all__ = ["plan_fields", "print_plan"]

LONGEST_TEXT = 200  # characters of a text that are shown, because an attachment can have millions


def plan_fields(session: Session, request: ChatRequest) -> list[dict[str, Any]]:
    """Return each candidate in order: whether it would be skipped, its request, and its highest cost."""
    providers = {built.provider.name: built.provider for built in session.settings.build_providers()}
    plan = []
    for status in session.router.explain_plan(request):
        model = status.model
        assert model is not None
        fields: dict[str, Any] = {"model": str(model), "skipped": status.reason or None}
        if not status.reason:
            fields |= _request_fields(providers[model.provider], request, model)
            fields |= _cost_fields(session, request, model)
        plan.append(fields)
    return plan


def _request_fields(provider: Provider, request: ChatRequest, model: ModelConfig) -> dict[str, Any]:
    try:
        exchange = provider.chat(request.for_model(model))
    except TurnoutError as error:
        return {"skipped": str(error)}
    return {"request": _shown(exchange.request), "left_out": list(exchange.dropped)}


def _shown(request: HttpRequest) -> dict[str, Any]:
    headers = {
        name: HIDDEN if name.lower() in SECRET_HEADERS or SECRET_NAME.search(name) else value
        for name, value in request.headers
    }
    return {
        "method": request.method,
        "url": shown_url(request.url),
        "headers": headers,
        "body": _shortened(json.loads(request.body)) if request.body else None,
    }


def _shortened(value: Any) -> Any:
    """Return a value of JSON with its long texts cut."""
    if isinstance(value, dict):
        return {key: _shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}… ({len(value)} characters)"
    return value


def _cost_fields(session: Session, request: ChatRequest, model: ModelConfig) -> dict[str, Any]:
    prompt, completion = prompt_tokens(request), completion_tokens(model)
    price = by_model(session.policy.prices, model)
    return {
        "estimated_prompt_tokens": prompt,
        "highest_cost": price.at_most(prompt, completion) if price is not None else None,
    }


def print_plan(session: Session, request: ChatRequest, *, as_json: bool = False) -> None:
    """Print the plan of a request. Keys are hidden in it."""
    hide = Redactor([key for settings in session.settings.providers for key in settings.keys])
    plan = plan_fields(session, request)
    if as_json:
        click.echo(hide(json.dumps(plan, ensure_ascii=False, indent=1)))
        return
    lines = ["Nothing was sent. The candidates, in order:"]
    for number, fields in enumerate(plan, 1):
        skipped = f": skipped, {fields['skipped']}" if fields["skipped"] else ""
        lines.append(f"\n{number}. {fields['model']}{skipped}")
        if "request" in fields:
            lines += _request_lines(fields)
    click.echo(hide("\n".join(lines)))


def _request_lines(fields: dict[str, Any]) -> list[str]:
    shown = fields["request"]
    lines = [f"   {shown['method']} {shown['url']}"]
    lines += [f"   {name}: {value}" for name, value in shown["headers"].items()]
    body = json.dumps(shown["body"], ensure_ascii=False, indent=2)
    lines += [f"   {line}" for line in body.splitlines()]
    if fields["left_out"]:
        lines.append(f"   left out, because the model rejects it: {', '.join(fields['left_out'])}")
    cost = fields.get("highest_cost")
    lines.append(
        f"   about {fields['estimated_prompt_tokens']} prompt tokens, "
        + (f"cost at most {cost:.6g}" if cost is not None else "cost unknown")
    )
    return lines
