"""One message through apprise, in a process of its own: python -m streams.deliver.apprise_child, an order on stdin, what became of it on stdout.

apprise looks hosts up by itself, follows redirects, may start programs and has no deadline for a message as a whole. Here an audit hook looks at
every address before it is connected to, answers are noted as they come, redirects are not followed, and the process ends at its deadline.
"""

from __future__ import annotations

import ipaddress
import json
import os
import sys
import threading
from typing import Any, Final, TypedDict

from streams.deliver.reach import allowed, not_allowed, said

_CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_STARTS: Final = frozenset({"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"})
_TEXT_CHARS: Final = 4096


class Order(TypedDict):
    """What the parent asks for. `send`: False only looks at the address."""

    send: bool
    url: str
    title: str
    body: str
    type: str
    allow_private: bool
    timeout_s: float


class Result(TypedDict, total=False):
    """`wrong`: what has to be changed. `failed`: why no answer came. Else the status of the last answer; 0: none, or none over HTTP."""

    wrong: str
    failed: str
    sent: bool
    status: int
    retry_after: str
    text: str


def main() -> None:
    """Carry out the order."""
    order: Order = json.load(sys.stdin)
    found = Result()
    service = _service(order, found)
    if service is not None and order["send"]:
        late = threading.Timer(order["timeout_s"], _end, (Result(failed=f"no answer within {order['timeout_s']:g} s"),))
        late.daemon = True
        late.start()
        _guard(found, allow_private=order["allow_private"])
        _note_answers(found)
        found["sent"] = bool(_send(service, order))
        late.cancel()
    _end(found)


def _end(result: Result) -> None:
    sys.stdout.write(json.dumps(result))
    sys.stdout.flush()
    os._exit(0)


def _service(order: Order, found: Result) -> Any:
    """The service of the address, or None and what is wrong with it."""
    import apprise  # noqa: PLC0415 - half a second, and not everybody has it

    service = apprise.Apprise.instantiate(order["url"])
    if service is None:
        found["wrong"] = "apprise does not understand its address"
        return None
    scheme = order["url"].partition("://")[0].lower()
    secure = scheme in _names(service.secure_protocol) or service.secure
    if not order["allow_private"] and not (secure and service.verify_certificate):
        found["wrong"] = "its address is without TLS, or without a check of the certificate"
        return None
    return service


def _names(protocols: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return (protocols,) if isinstance(protocols, str) else protocols or ()


def _send(service: Any, order: Order) -> Any:
    import apprise  # noqa: PLC0415

    sender = apprise.Apprise()
    sender.add(service)
    room = service.body_maxlen - (0 if service.title_maxlen > 0 else len(order["title"]) + 2)
    body = order["body"]
    body = body if len(body) <= room else body[: max(room - 1, 0)] + "…"
    title = order["title"][: service.title_maxlen or None]
    return sender.notify(body=body, title=title, notify_type=order["type"], body_format=apprise.NotifyFormat.TEXT)


def _guard(found: Result, *, allow_private: bool) -> None:
    """Refuse connections to addresses that are not allowed, and whatever starts a program. Cannot be undone."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _STARTS:
            found["wrong"] = "this service of apprise starts a program, which is not allowed"
        elif event not in _CONNECTS or arguments[1] is None or _may(arguments[1], allow_private=allow_private):
            return
        else:
            found["wrong"] = not_allowed(allow_private=allow_private)
        raise PermissionError(found["wrong"])

    sys.addaudithook(look)


def _may(address: object, *, allow_private: bool) -> bool:
    """A name, or a path on this machine, was not looked at and is not allowed."""
    if not isinstance(address, tuple):
        return False
    try:
        return allowed(ipaddress.ip_address(str(address[0]).partition("%")[0]), allow_private=allow_private)
    except ValueError:
        return False


def _note_answers(found: Result) -> None:
    """Note what each request through requests came to; stop at a redirect."""
    import requests  # noqa: PLC0415

    real = requests.adapters.HTTPAdapter.send

    def send(adapter: Any, request: Any, **options: Any) -> Any:
        found.pop("failed", None)
        found["status"] = 0
        try:
            answer = real(adapter, request, **options)
            text = answer.text[:_TEXT_CHARS]
        except requests.Timeout:
            found["failed"] = "no answer in time"
            raise
        except requests.RequestException as error:
            found["failed"] = said(_root(error))
            raise
        found["status"], found["text"] = answer.status_code, text
        found["retry_after"] = answer.headers.get("Retry-After") or ""
        if answer.is_redirect:
            raise requests.TooManyRedirects
        return answer

    requests.adapters.HTTPAdapter.send = send


def _root(error: BaseException) -> Exception:
    while (before := error.__cause__ or error.__context__) is not None:
        error = before
    return error if isinstance(error, Exception) else OSError()


if __name__ == "__main__":
    main()
