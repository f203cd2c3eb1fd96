"""E-mail over SMTP: to the company's mail server, with TLS, in one conversation that ends within its time."""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from contextlib import ExitStack, suppress
from typing import Final
from urllib.parse import urlsplit

from streams.deliver.channel import Channel, ChannelPolicy, Delivered, Outcome, Refused, Retry
from streams.deliver.letter import letter
from streams.deliver.notice import Notice
from streams.deliver.posting import Forbidden, Unreachable, connected, cut_at, resolve, secured
from streams.deliver.reach import said

_REASON_CHARS: Final = 160


class Mail(Channel):
    """smtps://host[:465] speaks TLS at once; smtp://host[:587] asks for it, and does without only where private addresses are allowed.

    A message counts as delivered once the server took it for one of the addresses.
    """

    def __init__(self, policy: ChannelPolicy) -> None:
        super().__init__(policy)
        parts = urlsplit(policy.url.get_secret_value())
        self._tls, self._host = parts.scheme == "smtps", parts.hostname or ""
        self._port = parts.port or (465 if self._tls else 587)

    def send(self, notice: Notice) -> Outcome:
        """See Channel."""
        policy = self.policy
        try:
            made = bytes(letter(notice, policy.sender, policy.to))
            addresses = resolve(self._host, self._port, allow_private=policy.allow_private)
        except Forbidden as error:
            return Refused(str(error))
        except Unreachable as error:
            return Retry(str(error))
        deadline = time.monotonic() + policy.timeout_s
        try:
            with connected(addresses, self._port, self._host if self._tls else "", deadline) as opened:
                outcome = self._talk(opened, made, deadline)
        except (OSError, ValueError) as error:  # smtplib's errors are OSErrors
            outcome = self._failed(error)
        late = time.monotonic() >= deadline and not isinstance(outcome, Delivered)
        return Retry(f"no answer within {policy.timeout_s:g} s") if late else outcome

    def _talk(self, opened: socket.socket, made: bytes, deadline: float) -> Outcome:
        policy = self.policy
        with ExitStack() as until:
            until.enter_context(cut_at(deadline, opened))
            session = _Session()
            until.callback(session.close)
            session.begin(opened)
            if not self._tls:
                if session.has_extn("starttls"):
                    session.begin_tls()
                    secure = until.enter_context(secured(opened, self._host, deadline))
                    until.enter_context(cut_at(deadline, secure))
                    session.go_on(secure)
                elif not policy.allow_private:
                    return Refused(
                        "it offers no TLS (STARTTLS); allow_private = true sends without it in your own network"
                    )
            if policy.user:
                session.login(policy.user, policy.secret.get_secret_value())
            session.sendmail(policy.sender, policy.to, made)
            with suppress(OSError):
                session.docmd("QUIT")  # what it says to that changes nothing: the message is taken
        return Delivered()

    def _failed(self, error: Exception) -> Outcome:
        match error:
            case smtplib.SMTPRecipientsRefused(recipients=refused):
                code, text = min(refused.values())  # one that may be taken later is tried again
            case smtplib.SMTPResponseException(smtp_code=code, smtp_error=text):
                pass
            case smtplib.SMTPServerDisconnected():
                return Retry("the connection broke (it hung up)")
            case smtplib.SMTPException():
                return Refused("it offers no way to log in that is known here")
            case _:
                return Retry(said(error))
        reason = self._reason(code, text)
        return Refused(reason) if code >= 500 else Retry(reason)

    def _reason(self, code: int, answer: bytes | str) -> str:
        """What the server said, without whom it was about."""
        text = " ".join((answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)).split())
        policy = self.policy
        for hidden in sorted(
            (policy.secret.get_secret_value(), policy.user, policy.sender, *policy.to), key=len, reverse=True
        ):
            text = text.replace(hidden, "***") if hidden else text
        text = text[:_REASON_CHARS]
        return f"answered {code}" + (f": {text}" if text and text.isprintable() else "")


class _Session(smtplib.SMTP):
    """smtplib over a connection that is open already, to an address that was looked at. Raises its errors."""

    def __init__(self) -> None:
        super().__init__(local_hostname="[127.0.0.1]")  # asks no resolver for our own name

    def begin(self, opened: socket.socket) -> None:
        own = str(opened.getsockname()[0])
        self.local_hostname = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        self.sock, self.file = opened, None
        self._answered(*self.getreply(), 220)
        self.ehlo_or_helo_if_needed()

    def begin_tls(self) -> None:
        self._answered(*self.docmd("STARTTLS"), 220)

    def go_on(self, secure: ssl.SSLSocket) -> None:
        """What was said without TLS does not count."""
        self.sock, self.file = secure, None
        self.helo_resp, self.ehlo_resp, self.esmtp_features, self.does_esmtp = None, None, {}, False
        self.ehlo_or_helo_if_needed()

    @staticmethod
    def _answered(code: int, text: bytes, expected: int) -> None:
        if code != expected:
            raise smtplib.SMTPResponseException(code, text)
