"""Tools and models of the demo: what reports the usage, what runs, and how its tokens mix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Model:
    """`caches`: writes to the cache are reported by themselves; else they are part of the input. `reasons`: share of output."""

    name: str
    provider: str
    caches: bool
    reasons: float = 0.0


@dataclass(frozen=True, slots=True)
class Tool:
    """`models`: (index into MODELS, share). `billed`: share of the standard cost that the contract costs; None: no cost is reported."""

    name: str
    source: str
    models: tuple[tuple[int, float], ...]
    basis: str
    billed: float | None
    share: float


MODELS: Final = (
    Model("claude-sonnet-5-5", "anthropic", caches=True),
    Model("claude-opus-5-5", "anthropic", caches=True, reasons=0.35),
    Model("claude-haiku-4-5", "anthropic", caches=True),
    Model("gpt-5.4", "openai", caches=False, reasons=0.45),
    Model("gpt-5-mini", "openai", caches=False, reasons=0.3),
    Model("gemini-2.5-pro", "google", caches=False, reasons=0.4),
    Model("house-coder-7b", "in-house", caches=False),
)
OPUS: Final = 1

TOOLS: Final = (
    Tool("claude-code", "claude-code-otlp", ((0, 0.62), (1, 0.24), (2, 0.14)), "billed", 0.93, 0.46),
    Tool("cursor", "cursor-admin", ((0, 0.55), (3, 0.35), (5, 0.10)), "list", 1.0, 0.22),
    Tool("codex", "openai-usage", ((3, 0.8), (4, 0.2)), "billed", 0.95, 0.18),
    Tool("copilot", "litellm", ((4, 0.4), (0, 0.6)), "seat", None, 0.09),
    Tool("chat", "litellm", ((5, 0.5), (0, 0.44), (6, 0.06)), "billed", 0.95, 0.05),
)
CLAUDE_CODE: Final = 0
CHAT: Final = 4
