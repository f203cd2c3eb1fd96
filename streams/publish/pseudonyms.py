"""Keyed pseudonyms of actors: one person is one word everywhere, and only the key could tell whose word it is."""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

from streams.errors import ConfigError

MIN_KEY_BYTES: Final = 16
_HEX_DIGITS: Final = 32
_NAMESPACE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class Pseudonyms:
    """Makes actors for events: HMAC-SHA256 over namespace and identity, its first 128 bits in hex behind the namespace.

    All publishers of a tenant share one key, else one person counts as several. A new key makes new persons of all.
    """

    def __init__(self, key: str | bytes) -> None:
        """Raises ConfigError for a key below 16 bytes: identities are few enough to be tried out against a weak one."""
        self._key = key.encode() if isinstance(key, str) else key
        if len(self._key) < MIN_KEY_BYTES:
            raise ConfigError(
                "TOKENWORTH_ACTOR_KEY",
                f"has {len(self._key)} bytes, a key of pseudonyms needs {MIN_KEY_BYTES}",
                remedy="set it to a secret that all publishers share, such as the output of: openssl rand -hex 32",
            )

    def of(self, namespace: str, identity: str) -> str:
        """The pseudonym of `identity` in `namespace` (github, jira, ...); '' for an empty identity.

        Identities are taken as they are: write them in one way. Raises ValueError for a namespace that is not a short
        lower-case word.
        """
        if not _NAMESPACE.fullmatch(namespace):
            raise ValueError("a namespace is a lower-case word of 1..64 letters, digits, '_', '.' and '-'")
        if not identity:
            return ""
        digest = hmac.new(self._key, f"{namespace}\0{identity}".encode(), hashlib.sha256).hexdigest()
        return f"{namespace}:{digest[:_HEX_DIGITS]}"
