"""Settings: environment variables TOKENWORTH_*, or the same names in lower case in tokenworth.toml. One place, validated on start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

AgentName = Literal["join", "windows", "alerts"]
AGENTS: tuple[AgentName, ...] = ("join", "windows", "alerts")

USAGE_TOPIC = "usage-events"
ITEMS_TOPIC = "work-item-events"
PANES_TOPIC = "pane-updates"
WINDOWS_TOPIC = "value-windows"
ALERTS_TOPIC = "alerts"
DEAD_TOPIC = "dead-letters"
INPUT_TOPICS = (USAGE_TOPIC, ITEMS_TOPIC)
TOPICS = (*INPUT_TOPICS, PANES_TOPIC, WINDOWS_TOPIC, ALERTS_TOPIC, DEAD_TOPIC)


class Settings(BaseSettings):
    """What a process of tokenworth needs to know. Durations end in _s and are seconds."""

    model_config = SettingsConfigDict(env_prefix="TOKENWORTH_", toml_file="tokenworth.toml", extra="forbid")

    kafka: str = Field("127.0.0.1:9092", description="bootstrap servers, host:port[,host:port]")
    clickhouse: str = Field(
        "http://127.0.0.1:8123/tokenworth", description="http[s]://[user[:password]@]host:port/database"
    )
    clickhouse_cluster: str = Field("", description="name of a replicated cluster; empty for one server")
    schema_registry: str = Field(
        "", description="URL of a Confluent-compatible registry; empty: the schemas that ship with the package"
    )
    group: str = Field("tokenworth", description="consumer group of the workers")
    agents: Annotated[tuple[AgentName, ...], NoDecode] = Field(
        AGENTS, description="agents that a worker runs: join,windows,alerts"
    )
    instance: str = Field("", description="static member id of this worker; unique in the group; empty: dynamic")
    partitions: int = Field(4, ge=1, le=1024, description="partition count that init creates the topics with")
    replication: int = Field(1, ge=1, le=7, description="replication factor that init creates the topics with")
    flush_interval_s: float = Field(
        1.0, gt=0, le=60, description="time between flushes of a worker, a third of it when 20,000 rows wait"
    )
    flush_max_rows: int = Field(
        250_000, ge=1000, description="rows that make a flush come earlier; twice as many may wait in a worker"
    )
    horizon_days: int = Field(
        7,
        ge=1,
        le=90,
        description="event time that a worker keeps in memory; what is older or idle for so long is looked up in ClickHouse",
    )
    watermark_idle_s: float = Field(
        30.0, ge=1, description="an input without events for this long no longer holds the watermark back"
    )
    allowed_lateness_s: int = Field(600, ge=0, description="how long after its end a window waits before it is final")
    session_timeout_s: float = Field(
        10.0, ge=2, description="a worker that is silent for this long loses its partitions"
    )
    take_over_grace_s: float = Field(5.0, ge=0, description="how long a flush in flight may delay a rebalance")
    accept_loss: bool = Field(
        False, description="go on although Kafka lost records that were not read; the gap is recorded"
    )
    stall_limit_s: float = Field(
        60.0,
        ge=1,
        description="a partition with records waiting whose position does not move for this long is not ready",
    )
    channels: str = Field(
        "", description="TOML file of the channels that alerts are sent to; empty: they are only stored and published"
    )
    alert_rules: str = Field(
        "", description="TOML file of alert rules that differ from the shipped ones; empty: none do"
    )
    metrics_port: int = Field(0, ge=0, le=65535, description="port for /metrics, /live and /ready on loopback; 0: off")
    actor_key: SecretStr = Field(SecretStr(""), description="secret key of the actors' pseudonyms (publishers)")
    data_dir: Path = Field(Path(".local"), description="where the embedded stack keeps its data and logs")

    @field_validator("agents", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)
