"""A chart as a small picture: bars, those of the episode in red, and a line where it begins to alert. Pure; no library draws 24 bars faster."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from streams.deliver.notice import Chart

BAR: Final = 16
GAP: Final = 4
HEIGHT: Final = 96
_COLOURS: Final = bytes.fromhex("ffffff9aa5b1d92d20e8b4ae")
_PAPER, _BEFORE, _EPISODE, _LEVEL = range(4)


def png(chart: Chart) -> bytes:
    """About 300 bytes: (BAR + GAP) pixels a value, HEIGHT high. The level shows where it is within the picture's scale."""
    top = max((*chart.values, chart.level, 1))
    level = HEIGHT - 1 - chart.level * (HEIGHT - 1) // top
    columns = [
        (value * HEIGHT // top, _BEFORE if at < chart.begun else _EPISODE) for at, value in enumerate(chart.values)
    ]
    rows = bytearray()
    for y in range(HEIGHT):
        paper = _LEVEL if y in {level, level + 1} and chart.level > 0 else _PAPER
        rows.append(0)  # no filter
        for height, colour in columns:
            rows += bytes([colour if HEIGHT - y <= max(height, 1) else paper]) * BAR + bytes([paper]) * GAP
    width = len(columns) * (BAR + GAP)
    header = struct.pack(">IIBBBBB", width, HEIGHT, 8, 3, 0, 0, 0)  # 8 bits a pixel, by palette
    parts = (b"IHDR", header), (b"PLTE", _COLOURS), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
