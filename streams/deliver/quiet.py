"""What keeps a notice from being sent: a silence, another alert that explains this one, somebody who has acknowledged it, the end of work."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from streams.deliver.channel import urgency
from streams.detect.alert import Alert
from streams.detect.calendar import Calendar, calendar_of
from streams.detect.inhibition import Sources, inhibiting, sources
from streams.detect.silences import Acknowledgement, Silence, silencing
from streams.detect.words import moment


@dataclass(frozen=True, slots=True)
class Quiet:
    """All that holds at one time."""

    silences: Sequence[Silence] = ()
    """Also those that ended lately: what resolved under them stays untold."""
    acknowledgements: Mapping[tuple[str, int], Acknowledgement] = field(default_factory=dict)
    """By (fingerprint, started_at)."""
    alerts: Sequence[Alert] = ()
    """That may inhibit others."""
    calendars: Sequence[Calendar] = ()
    """Working hours; a team without any always works."""
    _sources: Sources = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_sources", sources(self.alerts))

    def mute(self, alert: Alert, now_us: int) -> str:
        """Why an alert that is open is not told now, as a phrase; empty if it is."""
        if silence := silencing(self.silences, alert.labels, now_us):
            return f"silenced until {moment(silence.ends_at)} by {silence.created_by}: {silence.comment}"
        source = inhibiting(self._sources, alert)
        return f"inhibited by {source.rule}" if source else ""

    def forgets(self, alert: Alert, waiting_since: int, now_us: int) -> tuple[str, bool]:
        """Why an alert that is over need not be told any more, as a phrase, empty if it must; and whether it was kept back all the time
        since then: else somebody may have been told by a worker that died before it could note so."""
        then = silencing(self.silences, alert.labels, alert.resolved_at)
        if silence := silencing(self.silences, alert.labels, now_us) or then:
            always = silence.active(now_us) and max(silence.starts_at, silence.created_at) <= waiting_since
            return "over before its silence", always
        source = inhibiting(self._sources, alert, alert.resolved_at)
        if source:
            return f"over before {source.rule}, which inhibits it", source.fired_at <= alert.fired_at
        return "", False

    def sleeps_until(self, alert: Alert, now_us: int) -> int:
        """When the team works again (us), if this alert waits for that; else 0. A page waits for nobody."""
        calendar = calendar_of(self.calendars, alert.team)
        if calendar is None or urgency(alert.kind) >= urgency("page"):
            return 0
        opens_at = calendar.opens_at(now_us)
        return opens_at if opens_at > now_us else 0

    def working_day(self, now_us: int) -> int:
        """When the working day of the teams without a calendar of their own began (us), `now_us` if they always work; 0 outside of it."""
        calendar = calendar_of(self.calendars, "")
        return calendar.began_at(now_us) if calendar else now_us

    def acknowledged(self, alert: Alert, now_us: int) -> Acknowledgement | None:
        """Who has taken this episode on."""
        found = self.acknowledgements.get((alert.fingerprint, alert.started_at))
        return found if found and found.active(now_us) else None


NOTHING: Final = Quiet()
"""All is told."""
