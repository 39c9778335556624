"""Remembers what keys have spent: a file of JSON lines that only grows, and is compacted at the start.

Each line is `{"key": …, "period": …, "amount": …}`. A last line that was cut by a crash is passed over. Any other wrong
line is an error: without its amount, a key could spend more than its budget.

One gateway at a time has the file. The lock is on a file beside it, because the compaction replaces the file.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

import attrs

from turnout._utils.documents import DocumentError, parse_json_line
from turnout.config.values import SettingsError
from turnout_io.file_lock import FileLocked, lock_file
from turnout_io.serve.keys import Client

__all__ = ["BudgetFile"]

LOG: Final = logging.getLogger("turnout.serve")
MOST: Final = 1e15  # A larger amount, and one that is not a number, is an error of the file.


@attrs.define(eq=False)
class BudgetFile:
    """The budget file of a running gateway.

    Args:
        path: The file.
        dirty: True if lines were written that are not on the disk for certain.
    """

    path: Path
    _file: IO[str]
    _lock: IO[str] | None = None
    dirty: bool = attrs.field(default=False, init=False)
    _failing: bool = attrs.field(default=False, init=False)

    @classmethod
    def open(cls, path: str | Path, clients: tuple[Client, ...], wall: float) -> BudgetFile:
        """Read the file, give each key its spending, and write the file again with one line for each.

        Raises:
            SettingsError: The file cannot be read or written, another gateway has it, or a line of it is wrong.
        """
        path = Path(path)
        if not path.parent.is_dir():
            raise SettingsError(f"serve.budgetFile: {path} cannot be used: the folder {path.parent} does not exist")
        try:
            lock = path.with_name(path.name + ".lock").open("a", encoding="utf-8")
        except OSError as error:
            raise _unusable(path, error) from None
        try:
            lock_file(lock.fileno())
            return cls(path, _compacted(path, clients, wall), lock)
        except BaseException as error:
            lock.close()
            if isinstance(error, FileLocked):
                raise SettingsError(
                    f"serve.budgetFile: another gateway ({error}) has {path}, and both together could spend each "
                    "budget twice; give each its own file, or share budgets with the section `shared`"
                ) from None
            if isinstance(error, OSError):
                raise _unusable(path, error) from None
            raise

    def add(self, client: Client, amount: float, wall: float) -> None:
        """Write the spending of a key. If the disk fails, the gateway goes on: the budget holds in its memory."""
        if amount > 0 and client.account is not None:
            with self._logged():
                self._file.write(_line(client.name, client.account.budget.period(wall).name, amount))
                self._file.flush()
            self.dirty = True

    def sync(self) -> None:
        """Make sure that all lines are on the disk. An error is logged."""
        if self.dirty:
            self.dirty = False
            with self._logged():
                os.fsync(self._file.fileno())

    def close(self) -> None:
        """Write everything and close the file. An error is logged."""
        self.sync()
        with self._logged():
            self._file.close()
        if self._lock is not None:
            self._lock.close()

    @contextlib.contextmanager
    def _logged(self) -> Iterator[None]:
        """Log the first of several errors of the disk in a row."""
        try:
            yield
        except OSError as error:
            if not self._failing:
                LOG.error("serve.budgetFile: %s cannot be written, so a restart forgets: %s", self.path, error.strerror)
            self._failing = True
        else:
            self._failing = False


def _unusable(path: Path, error: OSError) -> SettingsError:
    return SettingsError(f"serve.budgetFile: {path} cannot be used: {error.strerror}")


def _compacted(path: Path, clients: tuple[Client, ...], wall: float) -> IO[str]:
    """Give each key its spending, write the file again with one line for each, and return it open at its end."""
    spent: defaultdict[tuple[str, str], float] = defaultdict(float)
    if path.exists():
        *lines, _ = path.read_bytes().split(b"\n")  # what follows the last line end was cut
        for number, line in enumerate(lines, 1):
            key, period, amount = _parsed(line, f"serve.budgetFile: {path}, line {number}")
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
    return path.open("a", encoding="utf-8")


def _line(key: str, period: str, amount: float) -> str:
    return json.dumps({"key": key, "period": period, "amount": amount}) + "\n"


def _parsed(line: bytes, where: str) -> tuple[str, str, float]:
    try:
        fields = parse_json_line(line)
    except DocumentError as error:
        raise SettingsError(f"{where}: {error}") from None
    match fields:
        case {"key": str(key), "period": str(period), "amount": int() | float() as amount}:
            if not isinstance(amount, bool) and 0 <= amount < MOST:
                return key, period, float(amount)
    raise SettingsError(f'{where}: a line such as {{"key": "team", "period": "2026-11", "amount": 0.5}} was expected')
