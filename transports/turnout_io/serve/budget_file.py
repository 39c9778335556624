"""Remembers what keys have spent: a file of JSON lines that only grows, and is compacted at the start.

Each line is `{"key": …, "period": …, "amount": …}`. A line that was cut by a crash is passed over.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from pathlib import Path
from typing import IO

import attrs

from turnout.config.values import SettingsError
from turnout_io.serve.keys import Client

__all__ = ["BudgetFile"]


@attrs.define(eq=False)
class BudgetFile:
    """The budget file of a running gateway.

    Args:
        path: The file.
        dirty: True if lines were written that are not on the disk for certain.
    """

    path: Path
    _file: IO[str]
    dirty: bool = attrs.field(default=False, init=False)

    @classmethod
    def open(cls, path: str | Path, clients: tuple[Client, ...], wall: float) -> BudgetFile:
        """Read the file, give each key its spending, and write the file again with one line for each.

        Raises:
            SettingsError: The file cannot be read or written.
        """
        path = Path(path)
        spent: defaultdict[tuple[str, str], float] = defaultdict(float)
        try:
            if path.exists():
                for line in path.read_text("utf-8", "replace").splitlines():
                    key, period, amount = _parsed(line)
                    spent[key, period] += amount
            kept = {client.name: client.account for client in clients if client.account is not None}
            beside = path.with_name(path.name + ".new")
            with beside.open("w", encoding="utf-8") as file:
                for (key, period), amount in spent.items():
                    account = kept.get(key)
                    if account is not None and period == account.budget.period(wall).name:
                        account.spend(amount, wall)
                        file.write(_line(key, period, amount))
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
            return cls(path, path.open("a", encoding="utf-8"))
        except OSError as error:
            raise SettingsError(f"serve.budgetFile: {path} cannot be used: {error.strerror}") from None

    def add(self, client: Client, amount: float, wall: float) -> None:
        """Write the spending of a key."""
        if amount > 0 and client.account is not None:
            self._file.write(_line(client.name, client.account.budget.period(wall).name, amount))
            self._file.flush()
            self.dirty = True

    def sync(self) -> None:
        """Make sure that all lines are on the disk."""
        if self.dirty:
            self.dirty = False
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write everything and close the file."""
        self.sync()
        self._file.close()


def _line(key: str, period: str, amount: float) -> str:
    return json.dumps({"key": key, "period": period, "amount": amount}) + "\n"


def _parsed(line: str) -> tuple[str, str, float]:
    try:
        fields = json.loads(line)
        return str(fields["key"]), str(fields["period"]), float(fields["amount"])
    except (ValueError, KeyError, TypeError):
        return "", "", 0.0
