"""What a channel is: it sends one notice and says what became of it. Policies say which notices it gets, and where they go."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Final, Literal, get_args

from pydantic import SecretStr

from streams.deliver.notice import Notice
from streams.errors import ConfigError

ChannelKind = Literal["alertmanager", "webhook", "signed", "slack", "pagerduty", "email", "apprise"]
AlertKind = Literal["digest", "ticket", "page"]
CHANNEL_KINDS: Final = get_args(ChannelKind)
ALERT_KINDS: Final = get_args(AlertKind)
"""From what can wait longest to what cannot wait."""

REPEAT_S: Final = {"page": 4 * 3600, "ticket": 7 * 86_400, "digest": 7 * 86_400}
"""How long after a delivery a person is reminded of an alert that still fires."""
REFRESH_S: Final = 300
"""Alertmanager forgets what is not repeated; it has reminders of its own."""

NOTHING: Final = SecretStr("")
PAGERDUTY_URL: Final = "https://events.pagerduty.com/v2/enqueue"
_NEEDS_SECRET: Final = {"signed": "the signing secret (whsec_...)", "pagerduty": "the integration's routing key"}
_SECRET_URL: Final = frozenset({"slack", "apprise"})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_URL: Final = re.compile(
    r"(?P<scheme>https?|smtps?)://(?P<user>[^/?#@]*@)?(\[[0-9a-fA-F:.]+\]|[\w.-]+)(:(?P<port>\d{1,5}))?([/?][!-~]*)?",
    re.ASCII,
)


_SCHEMES: Final = {"email": ("smtps", "smtp")}
_PLAIN: Final = frozenset({"http"})
"""Without TLS; smtp asks for it."""
_APPRISE: Final = re.compile(r"[a-z][a-z0-9+.-]*://[!-~]+", re.ASCII)
_MAILBOX: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, slots=True)
class Delivered:
    """The other side has taken the notice."""


@dataclass(frozen=True, slots=True)
class Retry:
    """It may work later; `after_s` is what the other side asked for, 0 when it said nothing."""

    reason: str
    after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Refused:
    """The same notice would be refused again: somebody has to change something."""

    reason: str


Outcome = Delivered | Retry | Refused


@dataclass(frozen=True, slots=True)
class ChannelPolicy:
    """One channel of the configuration. Raises ConfigError that names the key with a value that cannot work; no error shows a secret."""

    name: str
    kind: ChannelKind
    url: SecretStr = NOTHING
    """Whole address; of Alertmanager its root, of e-mail the mail server. A secret as a whole: Slack's carries the token."""
    secret: SecretStr = NOTHING
    """Signing secret, routing key, bearer token, or password of `user`."""
    min_kind: AlertKind = "digest"
    """The least urgent alerts that it gets."""
    teams: tuple[str, ...] = ()
    """Only alerts of these teams; none named: of all."""
    tenants: tuple[str, ...] = ()
    allow_private: bool = False
    """Loopback and private addresses, and http without TLS, are meant."""
    timeout_s: float = 10.0
    """For one attempt as a whole."""
    dashboard: str = ""
    """Address that messages link to, with LINK_FIELDS in braces; empty: none."""
    sender: str = ""
    """Of e-mail: the mailbox that it comes from."""
    to: tuple[str, ...] = ()
    """And those that it goes to."""
    user: str = ""
    """Who logs in at the mail server; empty: nobody."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ConfigError("name", f"{self.name!r} is no name", remedy="use up to 40 of a-z, 0-9, - and _")
        if self.kind not in CHANNEL_KINDS:
            raise ConfigError(
                "kind", f"{self.kind!r} is no channel", remedy=f"choose one of {', '.join(CHANNEL_KINDS)}"
            )
        if self.min_kind not in ALERT_KINDS:
            raise ConfigError(
                "min_kind", f"{self.min_kind!r} is no kind of alert", remedy=f"choose one of {', '.join(ALERT_KINDS)}"
            )
        if not 0 < self.timeout_s <= 60:
            raise ConfigError("timeout_s", f"{self.timeout_s} is not in (0, 60]", remedy="leave it out for 10 s")
        if self.kind in _NEEDS_SECRET and not self.secret.get_secret_value():
            what = _NEEDS_SECRET[self.kind]
            raise ConfigError("secret_env", "is missing", remedy=f"name the variable, or the secret_file, with {what}")
        _check_url(self.url.get_secret_value(), self.kind, allow_private=self.allow_private)
        self._check_mail()

    def _check_mail(self) -> None:
        if self.kind != "email":
            given = [key for key, value in (("from", self.sender), ("to", self.to), ("user", self.user)) if value]
            if given:
                raise ConfigError(given[0], f"is no key of {self.kind}", remedy='only kind = "email" has it')
            return
        if not _MAILBOX.fullmatch(self.sender):
            raise ConfigError("from", "is no mailbox", remedy='write from = "tokenworth@example.com"')
        if not self.to or not all(_MAILBOX.fullmatch(one) for one in self.to):
            raise ConfigError("to", "is not a list of mailboxes", remedy='write to = ["on-call@example.com"]')
        if bool(self.user) != bool(self.secret.get_secret_value()):
            raise ConfigError(
                "user", "and its password come together", remedy="name both, user and secret_env, or none"
            )

    def wants(self, kind: str, team: str, tenant: str) -> bool:
        """Whether alerts of this kind, team and tenant go to this channel. A kind that is not known is taken as a page."""
        return (
            urgency(kind) >= urgency(self.min_kind)
            and (not self.teams or team in self.teams)
            and (not self.tenants or tenant in self.tenants)
        )

    def repeat_s(self, kind: str) -> int:
        """After how many seconds an alert that still fires is told again."""
        return REFRESH_S if self.refreshed else REPEAT_S.get(kind, REPEAT_S["page"])

    @property
    def refreshed(self) -> bool:
        """Whether it takes an alert that is not repeated as over: what it knows is repeated to it, silenced or not. It reminds by itself."""
        return self.kind == "alertmanager"

    @property
    def groups(self) -> bool:
        """Whether what begins together goes out as one message: where no key makes one thing of one alert."""
        return self.kind not in ("alertmanager", "pagerduty")

    def bundles(self, kind: str) -> bool:
        """Whether alerts of this kind come as one message a tenant and working day."""
        return kind == "digest" and self.groups

    @property
    def acknowledges(self) -> bool:
        """Whether it shows that somebody has taken an alert on."""
        return self.kind == "pagerduty"

    @property
    def url_is_secret(self) -> bool:
        """Whether the address alone lets anybody send."""
        return self.kind in _SECRET_URL


class Channel(ABC):
    """Somewhere that notices go."""

    def __init__(self, policy: ChannelPolicy) -> None:
        self.policy = policy

    def check(self) -> None:  # noqa: B027 - most have nothing to look at
        """What can be seen of its settings without sending. Raises ConfigError."""

    @abstractmethod
    def send(self, notice: Notice) -> Outcome:
        """Send one notice; blocks for at most about `timeout_s`, raises nothing. Reasons carry no secret and no address.

        Sending the same notice twice does no harm: whoever crashed between sending and noting it sends it again.
        """


def urgency(kind: str) -> int:
    """Rank of a kind of alert; one that is not known is taken as a page."""
    return ALERT_KINDS.index(kind) if kind in ALERT_KINDS else ALERT_KINDS.index("page")


def _check_url(url: str, kind: ChannelKind, *, allow_private: bool) -> None:
    """Raise ConfigError without showing the address."""
    if not url:
        raise ConfigError(
            "url_env", "is missing", remedy="name the variable (url_env) or the file (url_file) with the address"
        )
    if kind == "apprise":
        if not _APPRISE.fullmatch(url):
            raise ConfigError(
                "url_env", "is no address of apprise", remedy="it looks like service://..., see apprise's list"
            )
        return
    parts, schemes = _URL.fullmatch(url), _SCHEMES.get(kind, ("https", "http"))
    if not parts or parts["scheme"] not in schemes or "#" in url or not 0 < int(parts["port"] or 1) < 65536:
        path = "" if kind == "email" else "/path"
        raise ConfigError("url", "is no address", remedy=f"it looks like {schemes[0]}://host[:port]{path}")
    if parts["user"]:
        raise ConfigError("url", "carries a user", remedy="put a token into secret_env or secret_file instead")
    if parts["scheme"] in _PLAIN and not allow_private:
        raise ConfigError(
            "url", "is without TLS", remedy="use https, or allow_private = true for a host of your own network"
        )
