"""The schemas that ship are valid and stay compatible; a registry is asked and its answers are judged."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from streams.errors import SchemaError, SetupError
from streams.events import schemas
from streams.events.schemas import (
    EVENT_NAMES,
    EventName,
    WriterSchemas,
    check_history,
    check_readable,
    fingerprint,
    latest,
    schema,
    shipped_id,
    shipped_ids,
    versions,
)


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_history_is_fully_compatible(event: EventName) -> None:
    """Each version that was ever published reads each other one."""
    check_history([schema(event, version) for version in versions(event)])


@pytest.mark.parametrize("event", EVENT_NAMES)
def test_every_version_has_an_id(event: EventName) -> None:
    """A record written by any release can be read without a registry."""
    assert {version for name, version in shipped_ids().values() if name == event} == set(versions(event))


def test_published_schemas_never_change() -> None:
    """A published file is history: changes go to a new version. Update this list only by adding to it."""
    found = {
        (event, version): fingerprint(schema(event, version)) for event in EVENT_NAMES for version in versions(event)
    }
    assert found == {("usage_event", 1): "8dd7f9aa8063a19f", ("work_item_event", 1): "95cc744c797bfe66"}


def test_documentation_does_not_change_the_fingerprint() -> None:
    """The canonical form leaves documentation out."""
    other = copy.deepcopy(latest("usage_event")) | {"doc": "something else"}
    assert fingerprint(other) == fingerprint(latest("usage_event"))


def test_schemas_of_the_checkout_are_those_of_the_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel carries them inside the package, and that folder wins."""
    packaged = tmp_path / "streams" / "schemas"
    packaged.mkdir(parents=True)
    monkeypatch.setattr(schemas, "__file__", str(tmp_path / "streams" / "events" / "schemas.py"))
    assert schemas.schema_directory() == packaged
    packaged.rmdir()
    assert schemas.schema_directory() == tmp_path / "schemas"


def _changed(change: dict[str, Any], remove: str = "") -> dict[str, Any]:
    document = copy.deepcopy(latest("usage_event"))
    document["fields"] = [field for field in document["fields"] if field["name"] != remove]
    if change:
        document["fields"].append(change)
    return document


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (_changed({"name": "region", "type": "string"}), "a new field without a default"),
        (_changed({}, remove="tenant"), "a field without a default is gone"),
        (_changed({"name": "requests", "type": "string"}, remove="requests"), "another type"),
        (latest("usage_event") | {"name": "Other"}, "another record"),
    ],
)
def test_incompatible_versions_are_refused(document: dict[str, Any], why: str) -> None:
    """Full compatibility: both directions count."""
    with pytest.raises(SchemaError):
        check_history([latest("usage_event"), document])
    assert why


def test_a_field_with_a_default_may_come_and_go() -> None:
    """That is how the schemas evolve."""
    check_history([latest("usage_event"), _changed({"name": "region", "type": "string", "default": ""})])
    check_history([latest("usage_event"), _changed({}, remove="status")])


def test_another_unit_of_time_is_refused() -> None:
    """Avro would read milliseconds as micro-seconds without a word."""
    document = copy.deepcopy(latest("usage_event"))
    document["fields"][1]["type"]["logicalType"] = "timestamp-millis"
    with pytest.raises(SchemaError, match="occurred_at"):
        check_readable(latest("usage_event"), document)


@pytest.mark.parametrize("document", [{"type": "record", "name": "R"}, {"type": "string"}, {"type": "nonsense"}])
def test_what_is_no_record_schema_is_refused(document: dict[str, Any]) -> None:
    """The avro package is the judge of validity."""
    with pytest.raises(SchemaError):
        fingerprint(document)


def test_without_a_registry_the_shipped_ids_count() -> None:
    """And an id of the other event is as unknown as one of nobody."""
    writers = WriterSchemas()
    assert writers.find("usage_event", shipped_id("usage_event")) == latest("usage_event")
    assert writers.find("usage_event", shipped_id("work_item_event")) is None
    assert writers.find("usage_event", 4_000_000) is None
    assert writers.register("work_item_event", "any") == shipped_id("work_item_event")


@contextmanager
def registry(answers: dict[str, tuple[int, Any]]) -> Iterator[tuple[str, list[str]]]:
    """A schema registry with fixed answers by path; the list holds the requests."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(json.loads(body["schema"])["name"])
            self._answer()

        def _answer(self) -> None:
            asked.append(self.path)
            status, document = answers.get(self.path, (404, {"error_code": 40403}))
            body = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _found(document: dict[str, Any], **more: object) -> tuple[int, Any]:
    return 200, {"schema": json.dumps(document)} | more


def test_a_registry_resolves_ids_and_is_asked_once() -> None:
    """An id never changes its meaning."""
    with registry({"/schemas/ids/77": _found(_changed({}, remove="status"))}) as (url, asked):
        writers = WriterSchemas(url + "/")
        assert writers.find("usage_event", 77) == writers.find("usage_event", 77) == _changed({}, remove="status")
    assert asked == ["/schemas/ids/77"]


@pytest.mark.parametrize(
    "answer",
    [
        (404, {}),
        _found(latest("work_item_event")),
        _found({"type": "string"}),
        _found(latest("usage_event"), schemaType="PROTOBUF"),
        _found(latest("usage_event"), references=[{"name": "x"}]),
        (200, {"schema": "{"}),
        (200, []),
    ],
)
def test_what_the_event_cannot_be_read_from_is_unknown(answer: tuple[int, Any]) -> None:
    """An id may exist and still mean something else."""
    with registry({"/schemas/ids/1": answer}) as (url, _):
        assert WriterSchemas(url).find("usage_event", 1) is None


def test_an_unknown_id_is_asked_for_again() -> None:
    """It may be registered a moment later."""
    answers: dict[str, tuple[int, Any]] = {}
    with registry(answers) as (url, _):
        writers = WriterSchemas(url)
        assert writers.find("usage_event", 9) is None
        answers["/schemas/ids/9"] = _found(latest("usage_event"))
        assert writers.find("usage_event", 9) is not None


def test_a_publisher_registers_its_schema() -> None:
    """Under the subject that Confluent's clients use for the topic's values."""
    with registry({"/subjects/usage-events-value/versions": (200, {"id": 100_017})}) as (url, asked):
        assert WriterSchemas(url).register("usage_event", "usage-events") == 100_017
    assert asked == ["UsageEvent", "/subjects/usage-events-value/versions"]


def test_a_refused_schema_is_an_error() -> None:
    """Publishing with an id of nobody would only make dead letters."""
    with registry({"/subjects/usage-events-value/versions": (409, {})}) as (url, _), pytest.raises(SchemaError):
        WriterSchemas(url).register("usage_event", "usage-events")


@pytest.mark.parametrize("answer", [(500, {}), (401, {}), (200, b"<html>")])
def test_a_registry_that_fails_says_nothing_about_the_record(answer: tuple[int, Any]) -> None:
    """Good records must not become dead letters because a server is away."""
    with registry({"/schemas/ids/1": answer}) as (url, _), pytest.raises(SetupError) as caught:
        WriterSchemas(url).find("usage_event", 1)
    assert "TOKENWORTH_SCHEMA_REGISTRY" in caught.value.remedy


def test_a_registry_that_is_down_is_named() -> None:
    """One message with the address."""
    with pytest.raises(SetupError, match=r"127\.0\.0\.1:1 "):
        WriterSchemas("http://127.0.0.1:1").find("usage_event", 1)
