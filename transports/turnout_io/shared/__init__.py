"""Limits, budgets and cooldowns that processes and machines share over Valkey or Redis.

with Router.from_config("turnout.yaml", shared=Valkey("valkeys://user@host:6379")) as router: ...
"""

from typing import TYPE_CHECKING

from turnout_io.shared.valkey import Valkey

__all__ = ["Valkey"]


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        from turnout._utils.hints.names import missing_name

        raise missing_name(__name__, name)
