"""Silences and acknowledgements: what people say about alerts. Who said it is a pseudonym or a name that its owner chose; nothing else of a person.

A silence keeps notices of all alerts that it matches from being sent, from one instant to another. Its matchers are Alertmanager's: name=value,
name!=value, name=~regex, name!~regex on the alert's labels; a regex matches the whole value; all matchers of a silence must match.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streams.errors import ConfigError

LABELS: Final = ("alertname", "kind", "team", "tenant", "window")
"""Labels of every alert."""
LONGEST_VALUE: Final = 200
_MATCHER: Final = re.compile(
    r"""\s*([A-Za-z_]\w*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|'([^']*)'|(.*?))\s*""", re.ASCII | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on one label; an alert without the label has it empty. Raises ConfigError for a label that no alert has, or a wrong regex."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def __post_init__(self) -> None:
        if self.name not in LABELS:
            raise ConfigError("MATCHER", f"no alert has a label {self.name!r}", remedy=f"use {', '.join(LABELS)}")
        if len(self.value) > LONGEST_VALUE:
            raise ConfigError(
                "MATCHER", f"{self.name}: the value is too long", remedy=f"use up to {LONGEST_VALUE} characters"
            )
        if self.is_regex:
            try:
                re.compile(self.value)
            except re.error as error:
                raise ConfigError(
                    "MATCHER",
                    f"{self.value!r} is no regular expression: {error}",
                    remedy=f"or write {self.name}={self.value} for exactly this",
                ) from None

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """From `team=search`, `alertname=~"spend.*"`, `kind!=page`, `team!~"a|b"`. Raises ConfigError."""
        found = _MATCHER.fullmatch(text)
        if not found:
            raise ConfigError(
                "MATCHER",
                f"{text!r} is no matcher",
                remedy='write it as team=search, team!=search or alertname=~"spend.*"',
            )
        name, sign, quoted, single, bare = found.groups()
        value = (
            re.sub(r"\\(.)", _unescaped, quoted, flags=re.DOTALL)
            if quoted is not None
            else single
            if single is not None
            else bare
        )
        return cls(name, value, sign.endswith("~"), not sign.startswith("!"))

    def __str__(self) -> str:
        sign = ("=" if self.is_equal else "!") + "~" if self.is_regex else "=" if self.is_equal else "!="
        value = self.value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return f'{self.name}{sign}"{value}"'

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.name, "")
        same = re.fullmatch(self.value, value) is not None if self.is_regex else self.value == value
        return same == self.is_equal


@dataclass(frozen=True, slots=True)
class Silence:
    """A row of alert_silences. Times in micro-seconds. Raises ConfigError for one that matches every alert, has no end, or no reason."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    """Exclusive; expiring it early moves it to that moment."""
    created_at: int
    created_by: str
    comment: str

    def __post_init__(self) -> None:
        if all(matcher.matches({}) for matcher in self.matchers):
            raise ConfigError(
                "MATCHER", "it would silence everything", remedy="name what it is about, such as team=search"
            )
        if not self.comment.strip():
            raise ConfigError(
                "--why", "is missing", remedy='say why, for those who are on call next: --why "load test until noon"'
            )

    def active(self, at_us: int) -> bool:
        return self.starts_at <= at_us < self.ends_at

    def matches(self, labels: Mapping[str, str]) -> bool:
        return all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A row of alert_acknowledgements: somebody has taken on an episode. Gone with it."""

    fingerprint: str
    started_at: int
    acked_at: int
    acked_by: str
    comment: str
    until: int = 0
    """0: as long as the episode lasts."""

    def active(self, at_us: int) -> bool:
        return not self.until or at_us < self.until


def silencing(silences: Iterable[Silence], labels: Mapping[str, str], at_us: int) -> Silence | None:
    """Of the silences that are active and match, the one that ends last."""
    found = [silence for silence in silences if silence.active(at_us) and silence.matches(labels)]
    return max(found, key=lambda silence: (silence.ends_at, silence.id), default=None)


def matchers_of(texts: Sequence[str]) -> tuple[Matcher, ...]:
    """Raises ConfigError."""
    return tuple(map(Matcher.parse, texts))


def _unescaped(found: re.Match[str]) -> str:
    return "\n" if found[1] == "n" else found[1]
