"""The one error that a group of tasks ended with."""

from __future__ import annotations

__all__ = ["sole_error"]


def sole_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the error that the caller of a call should see: groups of tasks are not his.

    Ctrl-C and the end of the program come first, then errors, and a cancellation only if there is nothing else.
    """
    found: BaseException | None = None
    for error in group.exceptions:
        leaf = sole_error(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(leaf, KeyboardInterrupt | SystemExit):
            return leaf
        if found is None or (isinstance(leaf, Exception) and not isinstance(found, Exception)):
            found = leaf
    assert found is not None  # a group is never empty
    return found
