"""A mail server on loopback that answers as a test tells it and keeps what it was sent."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

OK = "250 OK"


@dataclass
class MailServer:
    """The other side. Answers may be changed at any time."""

    port: int = 0
    rcpt: dict[str, str] = field(default_factory=dict)
    """By mailbox, if not OK."""
    data: str = OK
    delay_s: float = 0.0
    secure: bool = False
    """Whether the last message came over TLS."""
    login: tuple[str, str] = ("", "")
    received: list[tuple[list[str], bytes]] = field(default_factory=list)

    def message(self) -> EmailMessage:
        """The only one that arrived."""
        ((_, content),) = self.received
        found = message_from_bytes(content, policy=policy.default)
        assert isinstance(found, EmailMessage)
        return found

    async def handle_RCPT(  # noqa: N802 - the server calls it so
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        answer = self.rcpt.get(address, OK)
        if answer == OK:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        await asyncio.sleep(self.delay_s)
        self.secure = session.ssl is not None or server.transport.get_extra_info("ssl_object") is not None
        if self.data == OK:
            self.received.append((envelope.rcpt_tos, envelope.content))
        return self.data

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword) -> AuthResult:
        given = data.login.decode(), data.password.decode()
        return AuthResult(success=given == self.login, handled=False)


@contextmanager
def mail_server(
    *, tls: ssl.SSLContext | None = None, implicit: bool = False, login: tuple[str, str] = ("", "")
) -> Iterator[MailServer]:
    """Run one in a thread. With `tls` it offers STARTTLS, or speaks TLS from the first byte if `implicit`."""
    found, loop = MailServer(login=login), asyncio.new_event_loop()
    options: dict[str, Any] = {"authenticator": found.authenticate, "auth_required": True} if login[0] else {}
    options |= {"auth_require_tls": tls is not None and not implicit}
    options |= {"tls_context": tls} if tls and not implicit else {}

    def session() -> Any:
        return SMTP(found, hostname="mail.example", loop=loop, **options)

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=tls if implicit else None))
    found.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        server.close()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


def certificate(folder: Path, host: str) -> Path:
    """A certificate of `host` that is its own authority, and its key, in one file."""
    made = folder / f"{host}.pem"
    what = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj"
    names = [f"/CN={host}", "-addext", f"subjectAltName=DNS:{host}"]
    files = ["-keyout", str(made), "-out", f"{made}.crt"]
    subprocess.run(["openssl", *what.split(), *names, *files], check=True, capture_output=True)
    made.write_text(made.read_text() + Path(f"{made}.crt").read_text())
    return made


def context(certificate: Path) -> ssl.SSLContext:
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    found.load_cert_chain(certificate)
    return found
