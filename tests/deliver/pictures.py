"""Pictures of alerts as people see them, for docs/alerts.md: python -m tests.deliver.pictures docs/alerts (needs chromium and pngquant).

E-mail is shown as it is sent. Slack's and PagerDuty's pages are drawn here after their looks, from what is sent to them.
"""

from __future__ import annotations

import base64
import re
import subprocess
import sys
import tempfile
from html import escape
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from streams.deliver.channel import ChannelPolicy
from streams.deliver.letter import html
from streams.deliver.messages import link, notice
from streams.deliver.notice import Notice
from streams.deliver.pagerduty import PagerDuty
from streams.deliver.png import png
from streams.deliver.slack import Slack
from tests.deliver.made import EXPLAINED, T0, alert

DASHBOARD: Final = "https://grafana.example/d/tokenworth?var-team={team}&from={from_ms}&to={to_ms}"
SIZES: Final = {"slack": (760, 400), "email": (700, 556), "pagerduty": (760, 400)}
FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--disable-lcd-text",
]
_PAGE: Final = '<!doctype html><meta charset="utf-8"><body style="margin:0;padding:14px;background:#fff;color:#1d1c1d;font:15px/1.46 Lato,Helvetica,Arial,sans-serif">{}'


def slack(told: Notice) -> str:
    """The blocks of the message, as the client lays them out."""
    parts = []
    for block in Slack(ChannelPolicy("x", "slack", url=SecretStr("https://hooks.example"))).body(told)["blocks"]:
        text = block["text"]["text"]
        if block["type"] == "header":
            parts.append(f'<div style="font-size:18px;font-weight:900;margin:2px 0 8px">{escape(text)}</div>')
        else:
            parts.append(f'<div style="white-space:pre-wrap">{_mrkdwn(text)}</div>')
    who = (
        '<b>tokenworth</b> <span style="font-size:11px;background:#e8e8e8;border-radius:2px;padding:1px 3px">APP</span>'
    )
    face = '<div style="width:36px;height:36px;border-radius:4px;background:#1d2939;color:#fff;text-align:center;line-height:36px">tw</div>'
    body = f'<div style="display:flex;gap:8px">{face}<div style="flex:1">{who} <span style="color:#616061;font-size:12px">14:05</span>{"".join(parts)}</div></div>'
    return _PAGE.format(body)


def email(told: Notice) -> str:
    assert told.chart is not None
    return html(told, "data:image/png;base64," + base64.b64encode(png(told.chart)).decode())


def pagerduty(told: Notice) -> str:
    """The incident's title, and the details of its alert."""
    policy = ChannelPolicy("x", "pagerduty", url=SecretStr("https://events.example"), secret=SecretStr("key"))
    event: dict[str, Any] = PagerDuty(policy).body(told)
    payload = event["payload"]
    rows = "".join(
        f'<tr><td style="padding:3px 14px 3px 0;color:#60656b;vertical-align:top">{escape(what)}</td><td style="white-space:pre-wrap">{escape(text)}</td></tr>'
        for what, text in payload["custom_details"].items()
    )
    links = "".join(f'<a href="{escape(one["href"])}">{escape(one["text"])}</a>' for one in event["links"])
    tag = f'<span style="background:#d92d20;color:#fff;border-radius:3px;padding:1px 6px;font-size:12px">{payload["severity"]}</span>'
    return _PAGE.format(
        f'<h2 style="font-size:18px;margin:0 0 6px">{escape(payload["summary"])}</h2>{tag} '
        f'<span style="color:#60656b">{escape(payload["source"])}, {escape(payload["class"])}</span>'
        f'<table style="margin:10px 0;font-size:14px;border-collapse:collapse">{rows}</table>{links}'
    )


def _mrkdwn(text: str) -> str:
    code = r'<code style="background:#f6f6f6;border:1px solid #ddd;border-radius:3px;color:#c01343;font-size:12px;padding:0 3px">\1</code>'
    text = re.sub(r"<([^<>|]+)\|([^<>]+)>", r'<a href="\1">\2</a>', text)
    return re.sub(r"`([^`\n]+)`", code, re.sub(r"(?m)^\*([^*\n]+)\*", r"<b>\1</b>", text))


def main(folder: Path) -> None:
    """Draw all."""
    fired = alert()
    told = notice(fired, "id", T0, EXPLAINED, link(DASHBOARD, fired))
    folder.mkdir(exist_ok=True)
    for name, page in {"slack": slack(told), "email": email(told), "pagerduty": pagerduty(told)}.items():
        with tempfile.TemporaryDirectory() as made:
            source = Path(made) / "page.html"
            source.write_text(page)
            size = ",".join(map(str, SIZES[name]))
            target = (folder / f"{name}.png").resolve()
            options = [
                f"--user-data-dir={made}/user",
                f"--window-size={size}",
                f"--screenshot={target}",
                source.as_uri(),
            ]
            subprocess.run(["chromium", *FLAGS, *options], check=True, capture_output=True)
            subprocess.run(["pngquant", "--force", "--output", str(target), "32", str(target)], check=True)
            print(f"{target.name}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
