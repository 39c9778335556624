"""The one probe that a fleet sends to a candidate with a half-open breaker.

A process claims it in the store, for as long as a probe may take; the claim of a dead process expires. While the store
is out of reach, each process probes by itself.
"""

from __future__ import annotations

from typing import Literal

import attrs

from turnout.shared.bell import Bell

__all__ = ["ProbeClaim"]


@attrs.define(eq=False)
class ProbeClaim:
    """The claim of this process to the probe of one candidate.

    Attributes:
        candidate: provider/model.
        bell: Rung when the claim is to be sent.
        connected: True while the store is in reach.
        state: "none", "asked", "ours", or "theirs" until `until`.
        until: Monotonic seconds; the end of the claim, of this or another process.
    """

    candidate: str
    bell: Bell
    connected: bool = attrs.field(default=False, kw_only=True)
    state: Literal["none", "asked", "ours", "theirs"] = attrs.field(default="none", init=False)
    until: float = attrs.field(default=0.0, init=False)
    _request: int | None = attrs.field(default=None, init=False)  # milliseconds; 0 gives the claim back

    @property
    def wanted(self) -> bool:
        """True if something is to be sent."""
        return self._request is not None

    def check(self, seconds: float, now: float) -> float | None:
        """Claim the probe for `seconds`.

        Returns:
            None if this process may probe now, else the seconds until it can check again; infinity if the
            answer of the store is under way.
        """
        if not self.connected:
            return None
        if self.state == "ours" and now < self.until:
            return None
        if self.state == "theirs" and now < self.until:
            return self.until - now
        if self.state != "asked":
            self.state, self._request = "asked", max(1, round(seconds * 1000))
            self.bell.rung = True
        return float("inf")

    def give_back(self) -> None:
        """Give the claim back, because the probe has its outcome or was not sent."""
        if self.state == "ours":
            self.state, self._request = "none", 0
            self.bell.rung = True

    def take_request(self) -> int | None:
        """Return the milliseconds to claim, 0 to give back; None if nothing is to be sent."""
        request, self._request = self._request, None
        return request

    def receive(self, claimed: int, milliseconds: int, now: float) -> None:
        """Take the store's answer."""
        if self.state == "asked":
            self.state = "ours" if claimed else "theirs"
            # A claim without an end is an error of another process, and must not keep the candidate away.
            self.until = now + min(max(0, milliseconds), 300_000) / 1000

    def lost(self) -> None:
        """Note that the store is out of reach."""
        self.connected, self.state, self._request = False, "none", None

    def found(self) -> None:
        """Note that the store can be reached."""
        self.connected, self.state, self._request = True, "none", None
