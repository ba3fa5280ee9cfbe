"""When a part that died is started again, and after how many deaths it is not."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class RestartPolicy:
    """The pause before a part is started again doubles with each death within the `window`, all in seconds.

    A part that has died `deaths` times within the window is not started again: whatever kills it is no accident.
    """

    first: float = 1.0
    longest: float = 30.0
    deaths: int = 5
    window: float = 600.0

    def pause(self, deaths: int) -> float | None:
        """Seconds before the start after so many deaths within the window; None if there is to be none."""
        return None if deaths >= self.deaths else min(self.first * 2 ** (deaths - 1), self.longest)


class RestartSchedule:
    """Counts the deaths of each part, and says when the part is due again. `clock` gives rising seconds."""

    def __init__(self, policy: RestartPolicy | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy or RestartPolicy()
        self.clock = clock
        self._deaths: dict[str, list[float]] = {}
        self._due: dict[str, float] = {}

    def died(self, name: str) -> float | None:
        """Note a death; returns the seconds until the part is due again, None if it has died too often."""
        now = self.clock()
        recent = [moment for moment in self._deaths.get(name, []) if now - moment < self.policy.window]
        self._deaths[name] = [*recent, now]
        pause = self.policy.pause(len(self._deaths[name]))
        if pause is not None:
            self._due[name] = now + pause
        return pause

    def due(self, name: str) -> bool:
        """Whether the part may be started: it has not died, or its pause is over."""
        return self.clock() >= self._due.get(name, 0.0)

    def deaths(self, name: str) -> int:
        """How often the part had died within the window when it died last."""
        return len(self._deaths.get(name, []))
