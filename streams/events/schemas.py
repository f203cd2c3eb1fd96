"""The event schemas: the ones that ship, their history and ids, and the writers' schemas that a registry knows.

`schemas/<event>/<version>.avsc` keeps every version that was ever published; the highest is what this release reads
and writes. `schemas/ids.json` gives them the ids that stand in the wire header where no registry is configured.
"""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.parse
import urllib.request
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

import avro.compatibility
import avro.errors
import avro.schema

from streams.errors import RegistryUnavailable, SchemaError

EventName = Literal["usage_event", "work_item_event"]
EVENT_NAMES: Final[tuple[EventName, ...]] = ("usage_event", "work_item_event")
Schema = dict[str, Any]
"""An Avro schema as parsed JSON. Treat as read-only: it is shared."""

_REGISTRY_TIMEOUT_S: Final = 10.0


def schema_directory() -> Path:
    """Where the schemas lie: inside the package in a wheel, beside it in a checkout."""
    packaged = Path(__file__).parent.parent / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def versions(event: EventName) -> tuple[int, ...]:
    """All versions of an event's schema that ship, ascending."""
    return tuple(sorted(int(path.stem) for path in (schema_directory() / event).glob("*.avsc")))


@cache
def schema(event: EventName, version: int) -> Schema:
    """One version of an event's schema."""
    parsed: Schema = json.loads((schema_directory() / event / f"{version}.avsc").read_text(encoding="utf-8"))
    return parsed


def latest(event: EventName) -> Schema:
    """The schema that this release reads and writes."""
    return schema(event, versions(event)[-1])


@cache
def shipped_ids() -> dict[int, tuple[EventName, int]]:
    """Wire id -> (event, version) of the schemas that ship."""
    listed: dict[str, str] = json.loads((schema_directory() / "ids.json").read_text(encoding="utf-8"))
    ids: dict[int, tuple[EventName, int]] = {}
    for schema_id, path in listed.items():
        folder, _, file = path.partition("/")
        event: EventName = next(name for name in EVENT_NAMES if name == folder)
        ids[int(schema_id)] = (event, int(file.removesuffix(".avsc")))
    return ids


@cache
def shipped_id(event: EventName) -> int:
    """The wire id of `latest(event)` where no registry is configured."""
    wanted = (event, versions(event)[-1])
    return next(schema_id for schema_id, found in shipped_ids().items() if found == wanted)


def plain(document: Schema) -> Schema:
    """A copy without logical types: times are integers then, and a year that datetime lacks is a bad time."""
    stripped: Schema = _plain(document)
    return stripped


def fingerprint(document: Schema) -> str:
    """CRC-64-AVRO of the canonical form, in hex: equal for schemas that differ in documentation and defaults only."""
    # Without logical types: the avro package leaves {"type": "long"} of them where the specification says "long".
    return str(_judged(plain(document)).fingerprint("CRC-64-AVRO").hex())


def check_readable(reader: Schema, writer: Schema) -> None:
    """Raise SchemaError unless `reader` can read what `writer` wrote, by the rules of the Avro specification.

    Two things that Avro itself lets pass are refused as well: another record name, and another logical type of a
    field (a time in milliseconds read as micro-seconds is a valid number and a wrong time).
    """
    verdict = avro.compatibility.ReaderWriterCompatibilityChecker().get_compatibility(_judged(reader), _judged(writer))
    if verdict.compatibility is not avro.compatibility.SchemaCompatibilityType.compatible:
        raise SchemaError("; ".join(sorted(verdict.messages)) or "the schemas are incompatible")
    if (reader["name"], reader.get("namespace")) != (writer["name"], writer.get("namespace")):
        raise SchemaError(f"record {writer['name']} is not {reader['name']}")
    written = {field["name"]: _logical_type(field["type"]) for field in writer["fields"]}
    for field in reader["fields"]:
        if field["name"] in written and written[field["name"]] != _logical_type(field["type"]):
            raise SchemaError(f"{field['name']}: the logical type changed")


def check_history(history: list[Schema]) -> None:
    """Raise SchemaError unless each schema is valid and fully compatible (both ways) with every earlier one."""
    for number, newer in enumerate(history):
        for older in history[:number]:
            check_readable(newer, older)
            check_readable(older, newer)
        _judged(newer)


def _can_read(event: EventName, writer: Schema) -> bool:
    try:
        check_readable(latest(event), writer)
    except SchemaError:
        return False
    return True


def _plain(part: Any) -> Any:
    if isinstance(part, list):
        return [_plain(branch) for branch in part]
    if not isinstance(part, dict):
        return part
    if part.keys() == {"type", "logicalType"}:
        return part["type"]
    return {name: _plain(value) for name, value in part.items() if name != "logicalType"}


def _logical_type(field_type: object) -> object:
    if isinstance(field_type, list):
        return next((_logical_type(branch) for branch in field_type if branch != "null"), None)
    return field_type.get("logicalType") if isinstance(field_type, dict) else None


def _judged(document: Schema) -> Any:
    """The schema as the `avro` package sees it; SchemaError when it is none."""
    try:
        parsed = avro.schema.parse(json.dumps(document))
    except avro.errors.AvroException as error:
        raise SchemaError(f"not a valid Avro schema: {error}") from error
    if parsed.type != "record":
        raise SchemaError("an event's schema must be a record")
    return parsed


class WriterSchemas:
    """Finds the schema that a record was written with.

    With a registry URL the registry decides, and what it returned is kept for the life of the object (an id never
    changes its meaning); without one the schemas that ship do. Calls block for at most a few seconds; safe to share
    between threads.
    """

    def __init__(self, registry_url: str = "") -> None:
        self._url = registry_url.rstrip("/")
        self._lock = threading.Lock()
        self._found: dict[tuple[EventName, int], Schema | None] = {}

    def find(self, event: EventName, schema_id: int) -> Schema | None:
        """The writer schema with this id; None when there is none or when `event` cannot be read from it.

        Raises RegistryUnavailable when the registry does not answer: that says nothing about the record.
        """
        if not self._url:
            found = shipped_ids().get(schema_id)
            return schema(*found) if found is not None and found[0] == event else None
        with self._lock:
            if (event, schema_id) not in self._found:
                document = self._fetch(schema_id)
                if document is None:  # not kept: it may be registered a moment later
                    return None
                self._found[event, schema_id] = document if _can_read(event, document) else None
            return self._found[event, schema_id]

    def register(self, event: EventName, topic: str) -> int:
        """The id to write `latest(event)` with. With a registry: registers it as `<topic>-value` (idempotent there)."""
        if not self._url:
            return shipped_id(event)
        body = json.dumps({"schema": json.dumps(latest(event))}).encode()
        answer = self._call(f"/subjects/{urllib.parse.quote(topic)}-value/versions", body)
        if answer is None or not isinstance(answer.get("id"), int):
            raise SchemaError(
                f"the schema registry does not take the schema of {event}",
                remedy="see the registry's compatibility mode",
            )
        schema_id: int = answer["id"]
        return schema_id

    def _fetch(self, schema_id: int) -> Schema | None:
        answer = self._call(f"/schemas/ids/{schema_id}")
        if answer is None or answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            return None
        try:
            document = json.loads(answer["schema"])
            _judged(document)
        except (KeyError, TypeError, ValueError, SchemaError):
            return None
        return document if isinstance(document, dict) else None

    def _call(self, path: str, body: bytes | None = None) -> dict[str, Any] | None:
        """The registry's answer; None for a refusal of the request itself (4xx)."""
        kind = "application/vnd.schemaregistry.v1+json"
        headers = {"Accept": kind, "Content-Type": kind}
        # The address is the operator's own setting, not input.
        request = urllib.request.Request(self._url + path, body, headers)  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_REGISTRY_TIMEOUT_S) as response:  # noqa: S310
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in {404, 409, 422}:
                return None
            raise self._unavailable(f"HTTP {error.code}") from error
        except (OSError, ValueError) as error:
            raise self._unavailable(str(getattr(error, "reason", error))) from error
        return answer if isinstance(answer, dict) else None

    def _unavailable(self, why: str) -> RegistryUnavailable:
        return RegistryUnavailable(
            f"the schema registry at {self._url} does not answer: {why}",
            remedy="check TOKENWORTH_SCHEMA_REGISTRY, or leave it empty to use the schemas that ship",
        )
