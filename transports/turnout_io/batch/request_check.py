"""Checks the requests of rows before anything is sent, as far as that is cheap."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from turnout.batch.requests import lost_field
from turnout.batch.rows import SETTINGS, BatchInputError, BatchRow, Endpoint
from turnout.chat import ModelConfig
from turnout.errors import ProviderNotRegistered
from turnout.serving import RequestRejected
from turnout_io.batch.input_check import CheckRequest
from turnout_io.batch.worker import read_row
from turnout_io.drivers.router_base import RouterBase

__all__ = ["request_check"]

# Fields that every provider receives. Most rows have no others, so only their models are looked at.
_COMMON: Final = frozenset(SETTINGS) - {"logit_bias"} | {
    "model", "messages", "stream", "stream_options", "input", "instructions", "max_output_tokens", "system",
    "stop_sequences", "dimensions", "encoding_format", "user",
}  # fmt: skip
_FOR_ALL: Final = "give a model for all rows with -m PROVIDER/MODEL or --route ROUTE"
MOST_NAMES: Final = 1000


def request_check(
    router: RouterBase[Any, Any], models: Iterable[ModelConfig], *, only_models: bool = False
) -> CheckRequest:
    """Return a function that finds why a request can never be answered: its model, or a field that would be lost.

    Args:
        router: The router that answers.
        models: What answers every row, in place of the rows' own models.
        only_models: Check no fields: the rows are sent as they are.

    Raises:
        BatchInputError: If the router does not have one of the models.
    """
    core, all_models = router._core, tuple(models)
    known: dict[str, str] = {}

    def problem_of_model(model: ModelConfig) -> str:
        if core.models_named(model):
            return ""
        try:
            core.provider_of(model)
        except ProviderNotRegistered as error:
            return error.message
        return ""

    def problem_of_name(name: object) -> str:
        if not isinstance(name, str):
            return f"it names no model; {_FOR_ALL}"
        try:
            return problem_of_model(ModelConfig.parse(name))
        except ValueError as error:
            return f"{error}; or {_FOR_ALL}"

    def check(endpoint: Endpoint, body: dict[str, Any]) -> str:
        if not all_models:
            name = body.get("model")
            problem = known.get(name) if isinstance(name, str) else None
            if problem is None:
                problem = problem_of_name(name)
                if isinstance(name, str) and len(known) < MOST_NAMES:
                    known[name] = problem
            if problem:
                return problem
        if only_models or _COMMON.issuperset(body):
            return ""
        try:
            inbound = read_row(BatchRow("", endpoint, body, ""), all_models)
        except RequestRejected:
            return ""  # the row fails with the name of the field
        path, reason = lost_field(inbound, core.model_without)
        return f"{path}: {reason}" if path else ""

    for model in all_models:
        if problem := problem_of_model(model):
            raise BatchInputError(problem)
    return check
