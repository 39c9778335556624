"""Limits, budgets and cooldowns that processes and machines share over Valkey or Redis.

with Router.from_config("turnout.yaml", shared=Valkey("valkeys://user@host:6379")) as router: ...
"""

from turnout_io.shared.valkey import Valkey

__all__ = ["Valkey"]
