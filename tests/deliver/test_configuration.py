"""The channels file: what it says, and what it says when it is wrong: file, line, what to do, no secret."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streams.deliver.configuration import load_calendars, load_channels
from streams.detect.calendar import Calendar
from streams.errors import ConfigError
from tests.deliver.formats import ROUTING_KEY, SIGNING_KEY

ENVIRONMENT = {
    "KEY": ROUTING_KEY,
    "SIGNING": f"whsec_{SIGNING_KEY}",
    "SLACK": "https://hooks.slack.example/T0SECRET",
    "PUSH": "tgram://123456789:T0SECRETtelegram/12345",
    "PASSWORD": "T0SECRET-password",
}
GOOD = """
[[channel]]
name = "on-call"
kind = "pagerduty"
secret_env = "KEY"
min_kind = "page"

[[channel]]
name = "leads"
kind = "slack"
url_env = "SLACK"
min_kind = "ticket"
teams = ["search", "ads"]

[[channel]]
name = "am"
kind = "alertmanager"
url = "http://alertmanager:9093"
allow_private = true

[[channel]]
name = "hook"
kind = "signed"
url = "https://hooks.example/in"
secret_file = "secrets/hook"
timeout_s = 3

[[channel]]
name = "mail"
kind = "email"
url = "smtps://mail.example"
from = "tokenworth@example.com"
to = ["on-call@example.com"]
user = "tokenworth"
secret_env = "PASSWORD"

[[channel]]
name = "push"
kind = "apprise"
url_env = "PUSH"
"""
DASHBOARD = 'dashboard = "https://grafana.example/d/tw?var-team={team}&from={from_ms}&to={to_ms}"\n'


def load(folder: Path, text: str) -> ConfigError:
    (folder / "channels.toml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        load_channels(folder / "channels.toml", ENVIRONMENT)
    for secret in (ROUTING_KEY, SIGNING_KEY, "T0SECRET"):
        assert secret not in f"{raised.value} {raised.value.remedy}"
    assert raised.value.remedy
    return raised.value


def test_a_file_of_all_there_is(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/hook").write_text(f"{SIGNING_KEY}\n")
    (tmp_path / "channels.toml").write_text(GOOD)
    channels = load_channels(tmp_path / "channels.toml", ENVIRONMENT)
    assert list(channels) == ["on-call", "leads", "am", "hook", "mail", "push"]
    page, leads, manager, hook, mail, _ = (channel.policy for channel in channels.values())
    assert page.url.get_secret_value() == "https://events.pagerduty.com/v2/enqueue"
    assert page.secret.get_secret_value() == ROUTING_KEY
    assert hook.secret.get_secret_value() == SIGNING_KEY
    assert (page.wants("page", "x", "t"), page.wants("ticket", "x", "t")) == (True, False)
    assert (leads.wants("page", "ads", "t"), leads.wants("page", "x", "t"), leads.wants("digest", "ads", "t")) == (
        True,
        False,
        False,
    )
    assert (mail.sender, mail.to, mail.user) == ("tokenworth@example.com", ("on-call@example.com",), "tokenworth")
    assert mail.dashboard == ""
    assert page.wants("a kind of a later version", "x", "t")
    assert (page.repeat_s("page"), leads.repeat_s("ticket"), manager.repeat_s("ticket")) == (14_400, 604_800, 300)


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('kind = "slack"', 'kind = "slak"', 10, "'slak' is no channel"),
        ('min_kind = "ticket"', 'min_kind = "urgent"', 12, "'urgent' is no kind"),
        ('name = "leads"', 'name = "on-call"', 9, "on-call is there twice"),
        ('name = "leads"', 'name = "Leads of all"', 9, "no name"),
        ('name = "leads"\n', "", 8, "name: is missing"),
        ('url_env = "SLACK"', 'url_env = "SLAKC"', 11, "variable SLAKC is not set"),
        ('url_env = "SLACK"', 'url = "https://hooks.slack.example/T0SECRET"', 11, "is a secret"),
        ('url_env = "SLACK"', 'url_env = "SLACK"\nurl_file = "f"', 12, "both there"),
        ('url_env = "SLACK"\n', "", 8, "url_env: is missing"),
        ('teams = ["search", "ads"]', "teams = [1]", 13, "list of names"),
        ('teams = ["search", "ads"]', 'teams = "search"', 13, "wrong type"),
        ('teams = ["search", "ads"]', 'team = "search"', 13, "no such key"),
        ('secret_env = "KEY"\n', "", 2, "secret_env: is missing"),
        ("allow_private = true", "", 18, "without TLS"),
        ('url = "http://alertmanager:9093"', 'url = "http://me:T0SECRET@alertmanager"', 18, "carries a user"),
        ('url = "http://alertmanager:9093"', 'url = "alertmanager:9093"', 18, "no address"),
        ('url = "http://alertmanager:9093"', 'url = "http://a b/T0SECRET"', 18, "no address"),
        ('url = "http://alertmanager:9093"', 'url = "http://a:99999"', 18, "no address"),
        ("timeout_s = 3", "timeout_s = 0", 26, "not in"),
        ("timeout_s = 3", "timeout_s = true", 26, "wrong type"),
        ('secret_file = "secrets/hook"', 'secret_env = "SLACK"', 25, "not base64"),
        ('secret_file = "secrets/hook"', 'secret_file = "nowhere"', 25, "cannot be read"),
        ('url = "smtps://mail.example"', 'url = "https://mail.example"', 31, "no address"),
        ('url = "https://hooks.example/in"', 'url = "smtp://hooks.example"', 24, "no address"),
        ('from = "tokenworth@example.com"', 'from = "tokenworth"', 32, "no mailbox"),
        ('from = "tokenworth@example.com"', 'from = "a@b.c\\nBcc: x@y.z"', 32, "no mailbox"),
        ('to = ["on-call@example.com"]', "", 28, "not a list of mailboxes"),
        ('to = ["on-call@example.com"]', 'to = ["a@b.c, d@e.f"]', 33, "not a list of mailboxes"),
        ('user = "tokenworth"\n', "", 28, "come together"),
        ('secret_env = "PASSWORD"\n', "", 34, "come together"),
        ('url_env = "PUSH"', 'url_env = "PUSH"\nto = ["a@b.c"]', 41, "no key of apprise"),
        ('url_env = "PUSH"', 'url = "tgram://T0SECRET/1"', 40, "is a secret"),
        ('url_env = "PUSH"', 'url_env = "KEY"', 40, "no address of apprise"),
    ],
)
def test_an_error_names_the_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/hook").write_text(SIGNING_KEY)
    assert old in GOOD
    error = load(tmp_path, GOOD.replace(old, new))
    assert str(error).startswith(f"{tmp_path}/channels.toml:{line}: ")
    assert says in str(error)


def test_a_dashboard_for_all_channels(tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text(DASHBOARD + GOOD.split('[[channel]]\nname = "hook"', maxsplit=1)[0])
    channels = load_channels(tmp_path / "channels.toml", ENVIRONMENT)
    assert {channel.policy.dashboard for channel in channels.values()} == {DASHBOARD.split('"')[1]}


@pytest.mark.parametrize("wrong", ["{nobody}", "{", "a b", "|x>", "\\n"])
def test_a_dashboard_that_is_none(tmp_path: Path, wrong: str) -> None:
    for text in (DASHBOARD.replace("{team}", wrong), DASHBOARD.replace("https://", wrong), "dashboard = 1\n"):
        error = load(tmp_path, f"# where to look\n{text}{GOOD}")
        assert str(error).startswith(f"{tmp_path}/channels.toml:2: dashboard")
        assert "{team}" in str(error.remedy)


@pytest.mark.parametrize(
    ("text", "says"),
    [("x = \n", "not valid TOML.*line 1"), ("[channel]", "not a list"), ("", "not a list"), ("x = 1", "not a list")],
)
def test_a_file_that_is_something_else(tmp_path: Path, text: str, says: str) -> None:
    assert re.search(says, str(load(tmp_path, text)))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_channels(tmp_path / "channels.toml")


HOURS = """
[[calendar]]
teams = ["search"]
timezone = "Europe/Berlin"
holidays = ["2026-12-25", 2027-01-01]

[[calendar]]
days = "sun-thu"
"""


def test_working_hours_of_teams_and_the_usual_ones_last(tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text(GOOD.partition('[[channel]]\nname = "hook"')[0] + HOURS)
    assert list(load_channels(tmp_path / "channels.toml", ENVIRONMENT)) == ["on-call", "leads", "am"]
    search, others, usual = load_calendars(tmp_path / "channels.toml")
    assert (search.teams, search.timezone, len(search.holidays)) == (("search",), "Europe/Berlin", 2)
    assert others.days == {6, 0, 1, 2, 3}
    assert usual == Calendar()


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ("Europe/Berlin", "Berlin", 4, "timezone: 'Berlin' is no time zone"),
        ("sun-thu", "sun-don", 8, "days: 'sun-don' are no days"),
        ("\ndays =", "\ndaays =", 8, "daays: no such key"),
        ("[[calendar]]\ndays", '[[calendar]]\nteams = ["ads", "search"]\ndays', 8, "search have a calendar already"),
    ],
)
def test_an_error_in_working_hours_names_the_line(tmp_path: Path, old: str, new: str, line: int, says: str) -> None:
    assert old in HOURS
    (tmp_path / "channels.toml").write_text(HOURS.replace(old, new) + GOOD)
    with pytest.raises(ConfigError, match=says) as raised:
        load_calendars(tmp_path / "channels.toml")
    assert str(raised.value).startswith(f"{tmp_path}/channels.toml:{line}: ")
