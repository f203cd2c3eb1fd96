"""Slack: an incoming webhook. It shows each message; it has no key by which two become one, so reminders are new messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from streams.deliver.http_channel import HttpChannel
from streams.deliver.notice import Notice, shortened

TEXT_CHARS: Final = 3000
"""Slack's limit of a section's text."""
TITLE_CHARS: Final = 150
"""Likewise of a header."""
SECTIONS: Final = 40
"""Of the 50 blocks that a message may have."""


class Slack(HttpChannel):
    """The policy's url is the whole secret."""

    def body(self, notice: Notice) -> dict[str, Any]:
        title = f"{_SIGN[notice.event]} {notice.title}"
        facts = [_fact(what, text) for what, text in notice.facts]
        if notice.link and len(notice.link) < TEXT_CHARS // 2:
            facts.append(f"<{_escaped(notice.link)}|Open the dashboard>")
        return {
            "text": shortened(_escaped(title), TEXT_CHARS),
            "blocks": [
                {
                    "type": "header",
                    "text": {"type": "plain_text", "text": shortened(title, TITLE_CHARS), "emoji": True},
                },
                *({"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in _sections(facts)),
            ],
        }


_SIGN: Final = {"firing": "🔴", "acknowledged": "👀", "resolved": "✅"}


def _fact(what: str, text: str) -> str:
    between = "\n" if "\n" in text else "  "
    return _cut(f"*{_escaped(what)}*{between}{_escaped(text)}")


def _sections(facts: Sequence[str]) -> list[str]:
    """As few sections as the limit allows, each of whole facts."""
    found: list[str] = []
    for fact in facts:
        if found and len(found[-1]) + 1 + len(fact) <= TEXT_CHARS:
            found[-1] += f"\n{fact}"
        else:
            found.append(fact)
    return found[:SECTIONS]


def _escaped(text: str) -> str:
    """Slack reads &, < and > as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str) -> str:
    """A single fact that is too long is cut where it must be, but not in the middle of what stands for one character."""
    if len(text) <= TEXT_CHARS:
        return text
    kept = text[: TEXT_CHARS - 1]
    begun = kept.rfind("&")
    return (kept[:begun] if begun > kept.rfind(";") else kept) + "…"
