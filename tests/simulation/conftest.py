"""A migrated database for the comparison with the engine."""

from __future__ import annotations

from tests.store.conftest import migrated

__all__ = ["migrated"]
