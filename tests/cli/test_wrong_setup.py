"""Wrong usage and wrong surroundings: one clear message that names the setting and the remedy, no traceback, the documented exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from streams.config import TOPICS
from tests.cli.conftest import Tokenworth


def message(done: subprocess.CompletedProcess[str], code: int) -> str:
    """What the command said, after checking that it is one message with a remedy."""
    assert done.returncode == code, done.stderr
    lines = done.stderr.splitlines()
    assert [line.split()[0] for line in lines if line.startswith(("error", "remedy"))] == ["error", "remedy"], (
        done.stderr
    )
    assert len(lines) == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    return done.stderr


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("PARTITIONS", "none", "valid integer"),
        ("PARTITIONS", "0", "greater than or equal to 1"),
        ("FLUSH_INTERVAL_S", "-1", "greater than 0"),
        ("AGENTS", "jion", "'join'"),
        ("METRICS_PORT", "100000", "less than or equal to 65535"),
    ],
)
def test_a_setting_with_a_wrong_value_is_named(tokenworth: Tokenworth, name: str, value: str, says: str) -> None:
    text = message(tokenworth("doctor", env={f"TOKENWORTH_{name}": value}), 2)
    assert f"TOKENWORTH_{name}" in text
    assert says in text
    assert value in text


def test_a_secret_is_not_repeated(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "tokenworth.toml").write_text("actor_key = 123456789\n")
    text = message(tokenworth("doctor"), 2)
    assert "TOKENWORTH_ACTOR_KEY" in text
    assert "123456789" not in text


def test_an_unknown_name_in_the_file_is_told(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "tokenworth.toml").write_text('kafak = "127.0.0.1:9092"\n')
    text = message(tokenworth("doctor"), 2)
    assert "tokenworth.toml" in text
    assert "kafak is no setting" in text


def test_a_file_that_is_no_toml_is_told(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "tokenworth.toml").write_text("kafka = nonsense\n")
    assert "tokenworth.toml" in message(tokenworth("doctor"), 2)


@pytest.mark.parametrize("address", ["nonsense", ":9092", "127.0.0.1:99999"])
def test_an_address_that_is_none_is_named(tokenworth: Tokenworth, address: str) -> None:
    text = message(tokenworth("worker", env={"TOKENWORTH_KAFKA": address}), 2)
    assert "TOKENWORTH_KAFKA" in text
    assert "host:port" in text


def test_a_clickhouse_url_that_is_none_is_named(tokenworth: Tokenworth) -> None:
    text = message(tokenworth("windows", env={"TOKENWORTH_CLICKHOUSE": "clickhouse:8123"}), 2)
    assert "TOKENWORTH_CLICKHOUSE" in text


@pytest.mark.parametrize("command", [["worker"], ["replay", "runs.csv", "--mapping", "agent_runs", "--publish-only"]])
def test_no_broker(tokenworth: Tokenworth, tmp_path: Path, command: list[str]) -> None:
    header = (
        "source,run,agent,model,instance_id,started_at,finished_at,input_tokens,cache_read_tokens,cache_write_tokens"
    )
    (tmp_path / "runs.csv").write_text(
        header + ",output_tokens,cost_usd,api_calls,duration_s,resolved\n"
        "s,r,a,m,i,2026-01-01T00:00:00Z,2026-01-01T00:01:00Z,1,1,1,1,0.1,3,60,1\n"
    )
    text = message(tokenworth(*command), 3)
    assert "no Kafka broker answers at 127.0.0.1:9" in text
    assert "TOKENWORTH_KAFKA" in text


@pytest.mark.parametrize(
    "command",
    [
        ["init"],
        ["windows"],
        ["explain", "PAY-12"],
        ["verify"],
        ["rules", "show"],
    ],
)
def test_no_clickhouse(tokenworth: Tokenworth, command: list[str]) -> None:
    text = message(tokenworth(*command), 3)
    assert "ClickHouse at http://127.0.0.1:9: nobody answers" in text
    assert "TOKENWORTH_CLICKHOUSE" in text


def test_a_worker_without_topics(tokenworth: Tokenworth, empty_broker: str) -> None:
    text = message(tokenworth("worker", env={"TOKENWORTH_KAFKA": empty_broker, "TOKENWORTH_GROUP": "none"}), 3)
    assert "topic" in text
    assert "run: tokenworth init" in text


def test_results_without_init(tokenworth: Tokenworth, clickhouse_database: str) -> None:
    text = message(tokenworth("windows", env={"TOKENWORTH_CLICKHOUSE": clickhouse_database}), 3)
    assert "run: tokenworth init" in text


def test_topics_with_unequal_partition_counts(
    tokenworth: Tokenworth, kafka_address: str, clickhouse_database: str
) -> None:
    env = {"TOKENWORTH_KAFKA": kafka_address, "TOKENWORTH_CLICKHOUSE": clickhouse_database}
    admin = KafkaAdminClient(bootstrap_servers=kafka_address)
    try:
        admin.create_topics({"usage-events": {"num_partitions": 3, "replication_factor": 1}})
        text = message(tokenworth("init", env=env), 3)
        assert "TOKENWORTH_PARTITIONS is 4, but usage-events has 3" in text
        done = tokenworth("doctor", "--json", env=env)
        assert done.returncode == 1
        others = {name: {"num_partitions": 4, "replication_factor": 1} for name in TOPICS if name != "usage-events"}
        admin.create_topics(others, wait_for_metadata=True)
        text = message(tokenworth("worker", env=env), 3)
        assert "different partition counts" in text
        assert "usage-events has 3" in text
    finally:
        admin.delete_topics([name for name in admin.list_topics() if name in TOPICS])
        admin.close()


@pytest.mark.parametrize("command", [["up"], ["demo", "--exit"]])
def test_a_data_directory_that_cannot_be_written(tokenworth: Tokenworth, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("in the way")
    done = tokenworth(*command, "--broker", "tansu", "--data-dir", str(tmp_path / "file" / "data"))
    done.stderr = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("  "))
    text = message(done, 3)
    assert "data_dir" in text
    assert "TOKENWORTH_DATA_DIR" in text


def test_a_worker_that_cannot_write(tokenworth: Tokenworth, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    text = message(tokenworth("worker", env={"TOKENWORTH_DATA_DIR": str(tmp_path / "file" / "data")}), 3)
    assert "TOKENWORTH_DATA_DIR" in text


def test_a_facts_file_that_cannot_be_written_is_told_before_the_work(tokenworth: Tokenworth) -> None:
    assert "--json" in message(tokenworth("demo", "--exit", "--json", "missing/facts.json"), 2)


def test_an_unknown_broker(tokenworth: Tokenworth) -> None:
    assert "broker" in message(tokenworth("up", "--broker", "rabbit", "--kafka-port", "0", "--clickhouse-port", "0"), 2)


def test_wrong_usage_exits_with_2(tokenworth: Tokenworth) -> None:
    done = tokenworth("windws")
    assert done.returncode == 2
    assert "windows" in done.stderr, "it should say what was meant"


def test_debug_shows_the_traceback(tokenworth: Tokenworth) -> None:
    done = tokenworth("--debug", "windows")
    assert done.returncode == 3
    assert "Traceback" in done.stderr
    assert "remedy" in done.stderr


@pytest.mark.parametrize(
    ("module", "command", "extra"),
    [("clickhouse_connect", "windows", "worker"), ("chdb", "up", "local"), ("psutil", "demo", "local")],
)
def test_a_missing_extra_is_named(module: str, command: str, extra: str, tmp_path: Path) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv = ['tokenworth', {command!r}]\nfrom streams.cli import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60
    )
    assert f"tokenworth[{extra}]" in message(done, 3)


def test_help_needs_nothing_heavy() -> None:
    heavy = "{'polars', 'pyarrow', 'numpy', 'faust', 'clickhouse_connect', 'pydantic', 'kafka'}"
    code = (
        "import sys\nfrom streams.cli import app\n"
        "sys.argv = ['tokenworth', '--help']\n"
        "try:\n    app()\nexcept SystemExit: pass\n"
        f"print('HEAVY', sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("HEAVY []")
