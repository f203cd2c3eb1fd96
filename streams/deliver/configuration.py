"""The channels file: TOML, one [[channel]] each, and [[calendar]] for working hours; above them, if wanted, the address of a dashboard. Addresses and
secrets come from the environment or from files; errors name the line, never a value.

[[channel]]
name = "leads"
kind = "slack"
url_env = "SLACK_URL"
min_kind = "ticket"
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from streams.deliver.alertmanager import Alertmanager
from streams.deliver.apprise import Apprise
from streams.deliver.channel import NOTHING, PAGERDUTY_URL, Channel, ChannelKind, ChannelPolicy
from streams.deliver.mail import Mail
from streams.deliver.messages import LINK_FIELDS
from streams.deliver.pagerduty import PagerDuty
from streams.deliver.signed import Signed
from streams.deliver.slack import Slack
from streams.deliver.webhook import Webhook
from streams.detect.calendar import Calendar, parse_calendar
from streams.errors import ConfigError
from streams.value.documents import line_of, lines_of

_CHANNELS: Final[Mapping[ChannelKind, type[Channel]]] = {
    "alertmanager": Alertmanager,
    "webhook": Webhook,
    "signed": Signed,
    "slack": Slack,
    "pagerduty": PagerDuty,
    "email": Mail,
    "apprise": Apprise,
}
_KEYS: Final[Mapping[str, type | tuple[type, ...]]] = {
    "name": str,
    "kind": str,
    "url": str,
    "url_env": str,
    "url_file": str,
    "secret_env": str,
    "secret_file": str,
    "min_kind": str,
    "teams": list,
    "tenants": list,
    "allow_private": bool,
    "timeout_s": (int, float),
    "from": str,
    "to": list,
    "user": str,
}


def open_channel(policy: ChannelPolicy) -> Channel:
    """The channel of a policy; sends nothing yet. Raises ConfigError for a secret that cannot work."""
    return _CHANNELS[policy.kind](policy)


def load_channels(path: Path, environment: Mapping[str, str] = os.environ) -> dict[str, Channel]:
    """The channels of a file by name. Raises ConfigError that names the file and, where it can be told, the line."""
    text, tables = _tables(path)
    found: dict[str, Channel] = {}
    for number, entry in enumerate(tables["channel"]):
        with _at_line(path, text, "channel", number):
            policy = replace(_policy(entry, path.parent, environment, found), dashboard=tables["dashboard"])
            found[policy.name] = open_channel(policy)
            found[policy.name].check()
    return found


def load_calendars(path: Path) -> tuple[Calendar, ...]:
    """The working hours in a channels file, the default ones last. Raises ConfigError as `load_channels` does."""
    text, tables = _tables(path)
    found: list[Calendar] = []
    for number, entry in enumerate(tables.get("calendar", ())):
        with _at_line(path, text, "calendar", number):
            calendar = parse_calendar(entry)
            taken = {team for other in found for team in other.teams or ("",)}
            if twice := taken.intersection(calendar.teams or ("",)):
                who = ", ".join(sorted(twice)) or "the teams without one of their own"
                raise ConfigError("teams", f"{who} have a calendar already", remedy="leave one of the two")
            found.append(calendar)
    return *found, Calendar()


def _tables(path: Path) -> tuple[str, dict[str, Any]]:
    """Text and tables of a channels file."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigError(
            "TOKENWORTH_CHANNELS", f"{path}: {error.strerror}", remedy="name a file that the worker may read"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"not valid TOML: {error}", remedy="correct that line") from None
    _dashboard(path, text, tables.setdefault("dashboard", ""))
    lists = [of for name, of in tables.items() if name != "dashboard"]
    well = all(isinstance(of, list) and all(isinstance(entry, dict) for entry in of) for of in lists)
    if "channel" not in tables or set(tables) - {"channel", "calendar", "dashboard"} or not well:
        raise ConfigError(
            str(path),
            "is not a list of channels",
            remedy="begin each one with a line [[channel]], and working hours with [[calendar]]",
        )
    return text, tables


def _dashboard(path: Path, text: str, template: object) -> None:
    """Raises ConfigError when the address that messages link to is none."""
    bare = re.sub(r"\{(" + "|".join(LINK_FIELDS) + r")\}", "x", template) if isinstance(template, str) else "-"
    if bare and not re.fullmatch(r"https?://[^\s{}<>|\"]+", bare):
        line = next((n for n, line in enumerate(text.splitlines(), 1) if line.lstrip().startswith("dashboard")), 1)
        fields = ", ".join(f"{{{name}}}" for name in LINK_FIELDS)
        raise ConfigError(
            f"{path}:{line}",
            "dashboard: is no address",
            remedy=f"it looks like https://host/path, and may hold {fields}",
        )


@contextmanager
def _at_line(path: Path, text: str, kind: str, number: int) -> Iterator[None]:
    """A ConfigError about a key of an entry names its line as well."""
    try:
        yield
    except ConfigError as error:
        where = f"{path}:{line_of(lines_of(text), (kind, number, error.setting))}"
        raise ConfigError(where, error.message, remedy=error.remedy) from None


def _policy(
    entry: Mapping[str, Any], folder: Path, environment: Mapping[str, str], taken: Container[str]
) -> ChannelPolicy:
    for key, value in entry.items():
        if key not in _KEYS:
            raise ConfigError(key, "no such key", remedy=f"the keys are {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and _KEYS[key] is not bool):
            raise ConfigError(key, "has a value of the wrong type", remedy="see docs/alerts.md for an example")
    for key in ("name", "kind"):
        if key not in entry:
            raise ConfigError(key, "is missing", remedy="each channel has a name and a kind")
    if entry["name"] in taken:
        raise ConfigError("name", f"{entry['name']} is there twice", remedy="give each channel its own")
    plain = {
        key: entry[key] for key in ("name", "kind", "min_kind", "allow_private", "timeout_s", "user") if key in entry
    }
    url = _secret("url", entry, folder, environment)
    if entry["kind"] == "pagerduty" and not url.get_secret_value():
        url = SecretStr(PAGERDUTY_URL)
    policy = ChannelPolicy(
        **plain,
        url=url,
        secret=_secret("secret", entry, folder, environment),
        teams=_names("teams", entry),
        tenants=_names("tenants", entry),
        sender=entry.get("from", ""),
        to=_names("to", entry),
    )
    if policy.url_is_secret and "url" in entry:
        raise ConfigError("url", f"the address of {policy.kind} is a secret", remedy="use url_env or url_file")
    return policy


def _secret(what: str, entry: Mapping[str, Any], folder: Path, environment: Mapping[str, str]) -> SecretStr:
    """The address or the secret, from where the entry says; empty if it says nothing. A file is found beside the channels file."""
    given = [key for key in (what, f"{what}_env", f"{what}_file") if key in entry]
    if len(given) > 1:
        raise ConfigError(given[1], f"and {given[0]} are both there", remedy="leave one of them")
    if not given:
        return NOTHING
    key, value = given[0], entry[given[0]]
    if key == what:
        return SecretStr(value)
    if key.endswith("_env"):
        if not environment.get(value):
            raise ConfigError(
                key, f"the variable {value} is not set", remedy=f"set {value} in the worker's environment"
            )
        return SecretStr(environment[value].strip())
    try:
        return SecretStr((folder / value).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text"
        raise ConfigError(
            key, f"the file cannot be read: {why}", remedy="name a file that the worker may read"
        ) from None


def _names(key: str, entry: Mapping[str, Any]) -> tuple[str, ...]:
    names = entry.get(key, [])
    if not all(isinstance(name, str) and name for name in names):
        raise ConfigError(key, "is not a list of names", remedy=f'write {key} = ["one", "other"]')
    return tuple(names)
