"""Every error that tokenworth raises on purpose.

TokenworthError                 one clear message; `remedy` says what to do next
├── ConfigError                 a setting has a value that cannot work; names the setting
├── SetupError                  broker, topics, ClickHouse or the data directory are not as `init` leaves them
│   ├── BrokerUnavailable
│   ├── StoreUnavailable
│   ├── RegistryUnavailable
│   └── PartitionMismatch       the topics' partition counts differ from the stored one
├── SchemaError                 a schema is invalid or breaks compatibility
├── RecordError                 one record cannot be used; carries topic, partition, offset and reason, never the payload
├── LogLost                     Kafka no longer has records that were not read yet
├── StoreRestored               ClickHouse does not hold what this worker has written: it was restored
├── Fenced                      another worker owns the partition now: drop its state
└── VerifyFailed                stored results differ from the raw events
"""

from __future__ import annotations


class TokenworthError(Exception):
    """A failure with a cause that a person can act on."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class ConfigError(TokenworthError):
    """A setting has a value that cannot work."""

    def __init__(self, setting: str, message: str, *, remedy: str = "") -> None:
        super().__init__(f"{setting}: {message}", remedy=remedy)
        self.setting = setting


class SetupError(TokenworthError):
    """The surroundings are not as `tokenworth init` leaves them."""


class BrokerUnavailable(SetupError):
    """No Kafka broker answers at the configured address."""


class StoreUnavailable(SetupError):
    """ClickHouse does not answer at the configured address."""


class RegistryUnavailable(SetupError):
    """The configured schema registry does not answer."""


class PartitionMismatch(SetupError):
    """The topics' partition counts differ from each other or from the stored one."""


class SchemaError(TokenworthError):
    """A schema is invalid or breaks compatibility with an earlier version."""


class RecordError(TokenworthError):
    """One record cannot be used. Never carries the payload."""

    def __init__(self, topic: str, partition: int, offset: int, reason: str, detail: str = "") -> None:
        super().__init__(f"{topic}[{partition}]@{offset}: {reason}" + (f" ({detail})" if detail else ""))
        self.topic, self.partition, self.offset, self.reason, self.detail = topic, partition, offset, reason, detail


class LogLost(TokenworthError):
    """Kafka no longer has records of an input partition that were not read yet."""


class StoreRestored(TokenworthError):
    """ClickHouse does not hold any more what this worker has written to it."""

    def __init__(self, what: str) -> None:
        super().__init__(
            f"ClickHouse no longer holds {what}: it was restored from a backup while this worker ran",
            remedy="start the worker again: it reads from Kafka what the backup lacks",
        )


class Fenced(TokenworthError):
    """The broker no longer recognises this worker as the owner of a partition."""


class VerifyFailed(TokenworthError):
    """Stored results differ from what the raw events give."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 characters; its kind when it says nothing."""
    return str(error).partition("\n")[0][:200] or type(error).__name__
