"""`tokenworth alerts test-channel`: what it sends, and what it says when that fails."""

from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Tokenworth
from tests.deliver.servers import receiving

CHANNEL = """
[[channel]]
name = "portal"
kind = "webhook"
url_env = "PORTAL"
allow_private = true
"""


def test_a_channel_is_tried(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text(CHANNEL)
    with receiving() as receiver:
        env = {"TOKENWORTH_CHANNELS": "channels.toml", "PORTAL": f"{receiver.url}/T0SECRET"}
        done = tokenworth("alerts", "test-channel", "portal", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == "portal: delivered, a test that fires and one that says it is over\n"
        assert [request.json["status"] for request in receiver.requests] == ["firing", "resolved"]
        assert {request.json["commonLabels"]["kind"] for request in receiver.requests} == {"digest"}
        receiver.status, receiver.text = 403, "invalid_token T0SECRET"
        done = tokenworth("alerts", "test-channel", "portal", env=env)
        assert done.returncode == 1
        assert done.stdout == "portal: the firing notice was not delivered: answered 403: invalid_token ***\n"


def test_what_is_wrong_is_said(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "channels.toml").write_text(CHANNEL)
    for env, says in (
        ({}, "TOKENWORTH_CHANNELS: no channels file"),
        ({"TOKENWORTH_CHANNELS": "channels.toml"}, "channels.toml:5: url_env: the variable PORTAL is not set"),
        ({"TOKENWORTH_CHANNELS": "channels.toml", "PORTAL": "https://x.example"}, "no channel 'portl'"),
    ):
        done = tokenworth("alerts", "test-channel", "portl", env=env)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
