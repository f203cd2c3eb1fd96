"""`tokenworth replay`: a table's rows through Kafka, and what became of them."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from streams.store.client import connect
from streams.store.installation import privacy_floor
from tests.cli.conftest import Tokenworth

HEADER = (
    "source,run,agent,model,instance_id,started_at,finished_at,input_tokens,cache_read_tokens,cache_write_tokens,output_tokens,"
    "cost_usd,api_calls,duration_s,resolved\n"
)
ROWS = (
    "lab,r1,agent,claude-opus-5,task-1,2026-01-01T00:00:00Z,2026-01-01T00:01:00Z,10,20,30,40,0.5,7,60,1\n"
    "lab,r2,agent,claude-opus-5,task-1,2026-01-01T01:00:00Z,2026-01-01T01:01:00Z,10,20,30,40,0.5,7,60,0\n"
    "lab,r3,agent,claude-opus-5,task-1,yesterday,2026-01-01T01:01:00Z,10,20,30,40,0.5,7,60,0\n"
)


def test_replay_makes_the_stack_ready_and_publishes(
    tokenworth: Tokenworth, tmp_path: Path, tansu_address: str, clickhouse_database: str
) -> None:
    (tmp_path / "runs.csv").write_text(HEADER + ROWS)
    env = {"TOKENWORTH_KAFKA": tansu_address, "TOKENWORTH_CLICKHOUSE": clickhouse_database}
    done = tokenworth("replay", "runs.csv", "--mapping", "agent_runs", "--json", env=env)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["rows"], facts["usage_events"], facts["work_item_events"], facts["skipped"]) == (3, 2, 4, 1)
    assert len(facts["reasons"]) == 1
    assert "published: 6" in done.stderr
    with closing(connect(clickhouse_database)) as client:
        assert privacy_floor(client, "benchmarks") == 0


def test_publishing_alone_needs_no_clickhouse(
    tokenworth: Tokenworth, tmp_path: Path, tansu_address: str, clickhouse_database: str
) -> None:
    (tmp_path / "runs.csv").write_text(HEADER + ROWS)
    env = {"TOKENWORTH_KAFKA": tansu_address}
    assert tokenworth("init", env={**env, "TOKENWORTH_CLICKHOUSE": clickhouse_database}).returncode == 0
    done = tokenworth("replay", "runs.csv", "--mapping", "agent_runs", "--publish-only", env=env)
    assert done.returncode == 0, done.stderr
    assert "2 usage events and 4 work-item events" in done.stdout
    assert "1 rows skipped" in done.stdout


def test_a_missing_file_and_an_unknown_mapping(tokenworth: Tokenworth) -> None:
    for arguments, word in (
        (["nothing.csv", "--mapping", "agent_runs"], "nothing.csv"),
        (["x.csv", "--mapping", "nope"], "nope"),
    ):
        done = tokenworth("replay", *arguments)
        assert done.returncode == 2
        assert word in done.stderr
        assert "Traceback" not in done.stderr
