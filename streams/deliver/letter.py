"""A notice as an e-mail: plain text and HTML that says the same, with the chart as a picture in it. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from typing import Final

from streams.deliver.notice import CHART_FACT, Chart, Notice, shortened, spark
from streams.deliver.png import BAR, GAP, HEIGHT, png

SUBJECT_CHARS: Final = 200
_CHART_ID: Final = "chart"
_COLOURS: Final = {"page": "#d92d20", "ticket": "#b54708", "digest": "#475467"}
_OVER: Final = "#067647"


def letter(notice: Notice, sender: str, to: Sequence[str]) -> EmailMessage:
    """The same bytes for the same notice. Messages of one episode are one conversation."""
    made = EmailMessage(policy=SMTP.clone(cte_type="7bit"))  # not every server takes eight bits
    domain = sender.rpartition("@")[2]
    thread = f"<{notice.fingerprint}.{notice.starts_at}@{domain}>"
    made["From"], made["To"] = sender, ", ".join(to)
    made["Subject"] = shortened(" ".join(notice.title.split()), SUBJECT_CHARS)
    made["Date"] = format_datetime(datetime.fromtimestamp(notice.told_at // 1_000_000, UTC))
    made["Message-ID"] = f"<{notice.id}@{domain}>"
    made["In-Reply-To"] = made["References"] = thread
    made["Auto-Submitted"] = "auto-generated"
    if notice.kind == "page":
        made["Importance"] = "high"
    made.set_content(f"{notice.text}\n")
    made.add_alternative(html(notice, f"cid:{_CHART_ID}"), subtype="html")
    if notice.chart:
        (_, rich) = made.iter_parts()
        assert isinstance(rich, EmailMessage)
        rich.add_related(png(notice.chart), "image", "png", cid=f"<{_CHART_ID}>", disposition="inline")
    for number, part in enumerate(part for part in made.walk() if part.is_multipart()):
        part.set_boundary(hashlib.sha256(f"{notice.id} {number}".encode()).hexdigest()[:40])
    return made


def html(notice: Notice, chart: str) -> str:
    """The body as mail programs show it: tables and inline styles. `chart`: address of the picture."""
    colour = _OVER if notice.event == "resolved" else _COLOURS.get(notice.kind, _COLOURS["page"])
    rows = "".join(
        _row(what, _picture(notice.chart, chart) if notice.chart and what == CHART_FACT else _prose(text))
        for what, text in notice.facts
    )
    if notice.link:
        rows += _row("", f'<a href="{escape(notice.link)}" style="color:#175cd3">Open the dashboard</a>')
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><body style="margin:0;padding:16px;background:#ffffff;color:#1d2939;'
        'font:15px/1.45 -apple-system,Segoe UI,Helvetica,Arial,sans-serif">'
        f'<div style="max-width:640px;border-left:4px solid {colour};padding-left:14px">'
        f'<h1 style="margin:0 0 10px;font-size:18px;line-height:1.3;color:{colour}">{escape(notice.title)}</h1>'
        f'<table role="presentation" cellpadding="0" cellspacing="0" style="border-collapse:collapse">{rows}</table></div></body></html>\n'
    )


def _picture(chart: Chart, address: str) -> str:
    width = len(chart.values) * (BAR + GAP)
    style = "display:block;max-width:100%;border-bottom:1px solid #d0d5dd"
    image = (
        f'<img src="{escape(address)}" width="{width}" height="{HEIGHT}" alt="{spark(chart.values)}" style="{style}">'
    )
    return f'{image}<span style="font-size:13px;color:#667085">{escape(chart.what)}; it alerts at the line</span>'


def _row(what: str, cell: str) -> str:
    name = '<td style="padding:3px 12px 3px 0;vertical-align:top;color:#667085;white-space:nowrap">'
    return f'<tr>{name}{escape(what)}</td><td style="padding:3px 0;vertical-align:top">{cell}</td></tr>'


def _prose(text: str) -> str:
    """Lines as lines, `commands` as code."""
    parts = escape(text).split("`")
    code = '<code style="background:#f2f4f7;padding:1px 4px;font-size:13px">'
    told = "".join(
        f"{code}{part}</code>" if number % 2 and number < len(parts) - 1 else part for number, part in enumerate(parts)
    )
    return told.replace("\n", "<br>")
