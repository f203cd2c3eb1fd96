"""The rule file that a setting or a command names."""

from __future__ import annotations

from pathlib import Path

from streams.detect.policy import AlertPolicy
from streams.errors import ConfigError


def load_policy(file: str) -> AlertPolicy:
    """The alert rules of a file, or the shipped ones if none is named. Raises ConfigError that names file and line."""
    if not file:
        return AlertPolicy()
    try:
        text = Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not a text in UTF-8"
        raise ConfigError(
            "alert rules",
            f"{file}: {why}",
            remedy="name a TOML file that can be read, in TOKENWORTH_ALERT_RULES or the command",
        ) from None
    return AlertPolicy.from_toml(text, file)
