"""What a keeper's loop has to do at a certain time.

>>> clock = Clock()
>>> alarm = clock.after(0.1)
>>> selector.select(clock.timeout()); clock.strike(); alarm.done
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Alarm:
    """Something that is to happen once."""

    def __init__(self, at: float, act: Callable[[], None] | None) -> None:
        self.at = at
        self.act = act
        self.done = False


class Clock:
    """Alarms in the order of their time, which is the monotonic clock's."""

    def __init__(self) -> None:
        self._alarms: list[Alarm] = []

    def after(self, seconds: float, act: Callable[[], None] | None = None) -> Alarm:
        """Have `act` called `seconds` from now."""
        alarm = Alarm(time.monotonic() + seconds, act)
        self._alarms.append(alarm)
        self._alarms.sort(key=lambda each: each.at)
        return alarm

    def cancel(self, alarm: Alarm) -> None:
        """Forget `alarm`; one that has struck is forgotten already."""
        if alarm in self._alarms:
            self._alarms.remove(alarm)

    def timeout(self) -> float | None:
        """How long the loop may sleep, in seconds; None for as long as it likes."""
        return max(0.0, self._alarms[0].at - time.monotonic()) if self._alarms else None

    def strike(self) -> None:
        """Do what is due."""
        while self._alarms and self._alarms[0].at <= time.monotonic():
            alarm = self._alarms.pop(0)
            alarm.done = True
            if alarm.act:
                alarm.act()
