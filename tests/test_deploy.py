"""The production form: compose file, image and the services' configuration agree with each other and with the settings."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from streams.config import AGENTS, Settings
from streams.metrics import Metrics, serve

ROOT = Path(__file__).parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
COMPOSE: Final[dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = sorted(name for name, service in SERVICES.items() if "build" in service)
WORKERS: Final = sorted(name for name in OURS if SERVICES[name]["command"] == ["worker"])
FILES: Final = ("docker-compose.yml", ".env.example", "Dockerfile", "deploy/entrypoint.sh", "README.md", "Makefile")
BYTES: Final = {"m": 1024**2, "g": 1024**3}


def defaults() -> dict[str, str]:
    """Name and value of each line of .env.example."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))


def environment(service: str) -> dict[str, str]:
    """The service's variables as compose resolves them when nothing is set."""
    given = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value)) for name, value in given.items()}


def memory_bytes(service: str) -> int:
    limit = SERVICES[service]["deploy"]["resources"]["limits"]["memory"]
    return int(limit[:-1]) * BYTES[limit[-1]]


@pytest.mark.parametrize("file", FILES)
def test_every_variable_is_a_setting(file: str) -> None:
    named = set(re.findall(r"\bTOKENWORTH_([A-Z_]*[A-Z])\b", (ROOT / file).read_text()))
    assert named <= {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("service", OURS)
def test_the_settings_of_each_service_are_valid(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment(service).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.kafka == "kafka:9092"
    assert settings.agents == ((service,) if service in WORKERS else AGENTS)


def test_each_agent_has_a_service() -> None:
    assert sorted(AGENTS) == WORKERS


def test_env_example_is_what_compose_reads() -> None:
    asked = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    assert asked == defaults()


def test_env_example_names_the_defaults_of_the_settings() -> None:
    fields = Settings.model_fields
    differ = {
        name
        for name, value in defaults().items()
        if str(fields[name.removeprefix("TOKENWORTH_").lower()].default).removesuffix(".0") != value
    }
    assert differ == {"TOKENWORTH_PARTITIONS"}, "a production topic starts with room to scale; nothing else differs"


@pytest.mark.parametrize("service", SERVICES)
def test_images_are_pinned(service: str) -> None:
    image, _, tag = SERVICES[service]["image"].partition(":")
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?", tag), f"{image}:{tag}"


def test_base_image_is_pinned_and_one() -> None:
    bases = set(re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


def test_production_runs_the_versions_that_the_tests_run() -> None:
    engine = importlib.metadata.version("chdb-core").rpartition(".")[0]
    assert SERVICES["clickhouse"]["image"] == f"clickhouse/clickhouse-server:{engine}"
    pom = (ROOT / "streams/local/kafka.pom.xml").read_text()
    assert SERVICES["kafka"]["image"].partition(":")[2] in re.findall(
        r"<artifactId>kafka_[\d.]+</artifactId>\s*<version>([\d.]+)<", pom
    )
    assert SERVICES["join"]["image"] == f"tokenworth:{PROJECT['version']}"


@pytest.mark.parametrize("service", SERVICES)
def test_services_restart_and_rotate_their_logs(service: str) -> None:
    restart = SERVICES[service]["restart"]
    assert restart == ("on-failure:5" if service == "init" else "unless-stopped")
    assert SERVICES[service]["logging"]["options"]["max-size"]


@pytest.mark.parametrize("service", sorted(set(SERVICES) - {"init"}))
def test_services_that_stay_are_bounded_and_checked(service: str) -> None:
    assert memory_bytes(service) >= BYTES["g"]
    if service != "verify":  # an alert tells when it does not do its work
        assert (
            "test" in SERVICES[service].get("healthcheck", {}) or service in WORKERS
        )  # a worker has the check of its image


@pytest.mark.parametrize(
    ("now", "waits_s"),
    [("2026-01-31 01:59:59", 1), ("2026-01-31 02:00:00", 86_400), ("2026-01-31 14:00:00", 12 * 3600)],
)
def test_results_are_verified_each_night(now: str, waits_s: int, tmp_path: Path) -> None:
    at = int(datetime.fromisoformat(now).replace(tzinfo=UTC).timestamp())
    ran = tmp_path / "ran"
    for name, does in {
        "date": f"echo {at}",
        "sleep": f'echo "sleep $1" >> {ran}; test "$(wc -l < {ran})" -lt 4',  # the third night does not come
        "tokenworth-entrypoint": f'echo "$@" >> {ran}; exit 1',  # a difference does not end it
    }.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    service = SERVICES["verify"]
    command = [*service["entrypoint"], *(part.replace("$$", "$") for part in service["command"])]
    subprocess.run(command, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False, timeout=30)
    assert ran.read_text().splitlines() == [f"sleep {waits_s}", "verify"] * 2 + [f"sleep {waits_s}"]
    assert service["depends_on"]["init"] == {"condition": "service_completed_successfully"}


def test_order_of_the_start() -> None:
    assert SERVICES["init"]["depends_on"] == {
        name: {"condition": "service_healthy"} for name in ("kafka", "clickhouse")
    }
    for worker in WORKERS:
        assert SERVICES[worker]["depends_on"]["init"] == {"condition": "service_completed_successfully"}


def test_workers_can_be_scaled() -> None:
    for worker in WORKERS:
        assert {"container_name", "ports", "hostname"}.isdisjoint(SERVICES[worker]), worker
        assert all(mount.endswith(":ro") for mount in SERVICES[worker].get("volumes", ())), worker
        assert "TOKENWORTH_INSTANCE" not in environment(worker)


@pytest.mark.parametrize("service", OURS)
def test_our_containers_have_few_rights(service: str) -> None:
    assert SERVICES[service]["read_only"] is True
    assert SERVICES[service]["cap_drop"] == ["ALL"]


def test_ports_are_published_on_loopback_only() -> None:
    for service in SERVICES.values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_no_password_stands_in_a_file() -> None:
    for name in SERVICES:
        for variable, value in environment(name).items():
            assert variable.endswith("_FILE") or not re.search("PASSWORD|SECRET|ACTOR_KEY", variable), variable
            assert not re.search(r"://[^/@]*:[^/@]*@", value), variable
    assert [secret["file"] for secret in COMPOSE["secrets"].values()] == ["./secrets/clickhouse_password"]
    ignored = subprocess.run(
        ["git", "check-ignore", "secrets/clickhouse_password", ".env"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert len(ignored.stdout.splitlines()) == 2


def test_mounted_files_exist_and_volumes_are_declared() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"], source


def test_what_the_image_copies_exists_and_is_sent_to_the_builder() -> None:
    kept = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE))
    lines = re.findall(r"^COPY ((?!--from)\S.*) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    copied = {source for line in lines for source in line.split()}
    assert copied == kept
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_is_not_root_and_installs_by_hash() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in text
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] not in {"root", "0"}
    assert "HEALTHCHECK" in text


def test_kafka_has_append_times_and_no_accidental_topics() -> None:
    lines = (ROOT / "deploy/kafka/server.properties").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    assert settings["log.message.timestamp.type"] == "LogAppendTime"
    assert settings["auto.create.topics.enable"] == "false"
    outside = settings["advertised.listeners"].rpartition("OUTSIDE://")[2]
    assert SERVICES["kafka"]["ports"] == [f"{outside}:{outside.rpartition(':')[2]}"]
    assert f"{settings['log.dirs']}" in SERVICES["kafka"]["volumes"][0]
    heap = re.search(r"-Xmx(\d)g", environment("kafka")["KAFKA_HEAP_OPTS"])
    assert heap is not None
    assert int(heap[1]) * BYTES["g"] < memory_bytes("kafka")


def test_clickhouse_memory_is_capped_below_its_container() -> None:
    server = ET.parse(ROOT / "deploy/clickhouse/server.xml").getroot()
    query = ET.parse(ROOT / "deploy/clickhouse/users.xml").getroot().find("./profiles/default/max_memory_usage")
    total = server.find("max_server_memory_usage")
    assert total is not None
    assert query is not None
    assert int(query.text or "") < int(total.text or "") < memory_bytes("clickhouse")


def test_every_system_log_of_clickhouse_ends_or_is_off() -> None:
    logs = [
        element for element in ET.parse(ROOT / "deploy/clickhouse/server.xml").getroot() if element.tag.endswith("_log")
    ]
    assert {"query_log", "part_log", "metric_log", "trace_log"} <= {log.tag for log in logs}
    for log in logs:
        assert log.get("remove") == "1" or "DELETE" in log.findtext("ttl", ""), log.tag


@pytest.mark.parametrize("password", ["plain", "a/b@c:d %é"])
def test_the_entry_point_adds_the_password_from_its_file(password: str, tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to(sys.executable)
    (tmp_path / "tokenworth").write_text('#!/bin/sh\nprintf "%s\\n" "$TOKENWORTH_CLICKHOUSE" "$@"\n')
    (tmp_path / "tokenworth").chmod(0o755)
    (tmp_path / "secret").write_text(f"{password}\n", encoding="utf-8")
    variables = {
        **environment("join"),
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CLICKHOUSE_PASSWORD_FILE": str(tmp_path / "secret"),
    }
    run = subprocess.run(
        [ROOT / "deploy/entrypoint.sh", "worker", "--json"],
        env=variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    address, *arguments = run.stdout.splitlines()
    parts = urlsplit(address)
    assert (parts.username, parts.hostname, parts.port, parts.path) == ("tokenworth", "clickhouse", 8123, "/tokenworth")
    assert unquote(parts.password or "") == password
    assert arguments == ["worker", "--json"]


def test_the_health_check_of_the_image_asks_whether_the_worker_is_ready() -> None:
    command = re.search(r"^HEALTHCHECK .*\\\n  CMD (\[.+\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert command is not None
    _, *arguments = json.loads(command[1])
    reason = ""
    with serve(0, Metrics(), live=lambda: "", ready=lambda: reason) as server:
        variables = {"TOKENWORTH_METRICS_PORT": str(server.port)}
        assert subprocess.run([sys.executable, *arguments], env=variables, check=False, timeout=30).returncode == 0
        reason = "waiting for partitions"
        assert (
            subprocess.run(
                [sys.executable, *arguments], env=variables, check=False, timeout=30, capture_output=True
            ).returncode
            != 0
        )
