"""Silences and acknowledgements in ClickHouse."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, Final

import polars as pl

from streams.detect.silences import Acknowledgement, Silence, matchers_of
from streams.errors import ConfigError
from streams.store.reading import Stored
from streams.store.rows import TIME

Episode = tuple[str, int]
"""Fingerprint and started_at (us)."""
_TIMES: Final = ("starts_at", "ends_at", "created_at")
_ACK_TIMES: Final = ("started_at", "acked_at", "until")


def load_silences(stored: Stored, since_us: int) -> list[Silence]:
    """Silences that end after an instant, the first to end first. One that cannot be read, as of a later version, silences nothing."""
    found = []
    for row in _plain(stored.read("alerts/silences", since=max(since_us, 0)), _TIMES):
        try:
            found.append(Silence(**{**row, "matchers": matchers_of(row["matchers"])}))
        except ConfigError:
            continue
    return found


def load_acknowledgements(stored: Stored) -> dict[Episode, Acknowledgement]:
    """Those of episodes that are not over."""
    found = (Acknowledgement(**row) for row in _plain(stored.read("alerts/acknowledgements"), _ACK_TIMES))
    return {(one.fingerprint, one.started_at): one for one in found}


def silence_rows(silence: Silence, now_us: int) -> pl.DataFrame:
    """The row of alert_silences, written now."""
    row = {**asdict(silence), "matchers": [str(matcher) for matcher in silence.matchers], "version": now_us}
    return _typed(row, _TIMES)


def acknowledgement_rows(acknowledgement: Acknowledgement) -> pl.DataFrame:
    """The row of alert_acknowledgements."""
    return _typed({**asdict(acknowledgement), "version": acknowledgement.acked_at}, _ACK_TIMES)


def _typed(row: dict[str, Any], times: tuple[str, ...]) -> pl.DataFrame:
    return pl.DataFrame([row]).with_columns(pl.col(times).cast(TIME), pl.col("version").cast(pl.UInt64))


def _plain(frame: pl.DataFrame, times: tuple[str, ...]) -> list[dict[str, Any]]:
    return frame.with_columns(pl.col(times).cast(TIME).cast(pl.Int64)).to_dicts()
