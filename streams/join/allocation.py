"""Splitting a whole number exactly: largest remainder, ties by the UTF-8 bytes of the key (VALUE.md §8)."""

from __future__ import annotations

ToolModel = tuple[str, str]


def allocate(total: int, weights: dict[ToolModel, int]) -> dict[ToolModel, int]:
    """Shares of `total` (>= 0) in proportion to `weights` (>= 0, not all 0); they add up to `total`."""
    if len(weights) == 1:
        return dict.fromkeys(weights, total)
    whole = sum(weights.values())
    shares = {key: total * weight // whole for key, weight in weights.items()}
    missing = total - sum(shares.values())
    if missing:
        by_remainder = sorted(weights, key=lambda key: (-(total * weights[key] % whole), _bytes(key)))
        for key in by_remainder[:missing]:
            shares[key] += 1
    return shares


def dominant(weights: dict[ToolModel, int]) -> ToolModel:
    """The key with the largest weight."""
    return min(weights, key=lambda key: (-weights[key], _bytes(key)))


def _bytes(key: ToolModel) -> tuple[bytes, bytes]:
    return key[0].encode(), key[1].encode()
