"""The Faust app. `tokenworth worker` runs it; so does `faust -A streams.agents.app worker`."""

from __future__ import annotations

import asyncio
from functools import cache
from typing import Any, Final

import faust
import structlog

from streams.agents.alerts import AlertAgent
from streams.agents.context import Context
from streams.agents.join import JoinAgent
from streams.agents.ownership import BatchAgent, Ownership
from streams.agents.topics import check_topics
from streams.agents.transport import SCHEME
from streams.agents.windows import WindowAgent
from streams.config import AgentName, Settings

log = structlog.get_logger(__name__)

AGENTS: Final[dict[AgentName, type[JoinAgent | WindowAgent | AlertAgent]]] = {
    "join": JoinAgent,
    "windows": WindowAgent,
    "alerts": AlertAgent,
}

DRAIN_S: Final = 5.5
CLOSE_S: Final = 1.0
"""How long a worker that stops waits for its last flush and for the producer: together well below STOP_LIMIT_S."""

MOST_FETCH_BYTES: Final = 8 << 20
FETCH_BYTES_OF_ALL: Final = 64 << 20
"""Compressed, of one partition, and of all partitions of a topic together up to 64: bounds the memory of a worker that owns them all."""
LEAST_FETCH_BYTES: Final = 1 << 20


def fetch_bytes(partitions: int) -> int:
    """The most that a fetch brings of one partition. While catching up, larger batches cost less an event: with 8 MiB 10 % less than with 4."""
    return min(max(FETCH_BYTES_OF_ALL // partitions, LEAST_FETCH_BYTES), MOST_FETCH_BYTES)


def create_app(settings: Settings) -> faust.App:
    """The app with the agents that the settings name. Reads the topics' partition count: raises SetupError when `init` never ran."""
    partitions = check_topics(settings)
    app = faust.App(
        settings.group,
        broker=[f"{SCHEME}://{address.strip()}" for address in settings.kafka.split(",")],
        datadir=settings.data_dir / "faust",
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=partitions,
        topic_disable_leader=True,
        topic_allow_declare=False,
        web_enabled=False,
        worker_redirect_stdouts=False,
        stream_wait_empty=False,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=fetch_bytes(partitions),
        consumer_group_instance_id=settings.instance or None,
        broker_max_poll_records=1000,  # record batches, not records
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=min(2.0, settings.session_timeout_s / 3),
        broker_request_timeout=max(40.0, settings.session_timeout_s),
        broker_rebalance_timeout=30.0,
    )
    context = Context(settings, partitions)
    _wire(app, context, [AGENTS[name](context) for name in settings.agents])
    return app


def _wire(app: Any, context: Context, agents: list[Any]) -> None:
    ownership = app.ownership = Ownership(agents, context.health)
    app.context = context

    @app.on_rebalance_complete.connect(weak=False)  # type: ignore[untyped-decorator]
    async def take_over(sender: Any, **_: Any) -> None:
        try:
            await context.open()  # here, because Faust starts tasks only after the first take-over, which publishes
            await ownership.take_over(app)
        except Exception as error:  # noqa: BLE001 - nothing may pass: Faust would go on without state
            context.fail(error)

    @app.on_partitions_revoked.connect(weak=False)  # type: ignore[untyped-decorator]
    async def release(sender: Any, revoked: Any, **_: Any) -> None:
        try:
            await ownership.release(app)
        except Exception as error:  # noqa: BLE001
            context.fail(error)

    @app.on_before_shutdown.connect(weak=False)  # type: ignore[untyped-decorator]
    async def drain(sender: Any, **_: Any) -> None:
        try:
            await asyncio.wait_for(ownership.release(app), DRAIN_S)
            await asyncio.wait_for(context.close(), CLOSE_S)
        except Exception as error:  # noqa: BLE001 - Faust would stop stopping
            context.fail(error)

    for agent in agents:
        app.task(_forever(app, context, agent))
        for name in agent.topics:
            app.agent(app.topic(name, acks=False), name=f"{type(agent).__name__}.{name}")(_consume(app, context, agent))


def _forever(app: Any, context: Context, agent: BatchAgent) -> Any:
    async def run() -> None:
        try:
            await context.opened.wait()
            await agent.run(app.consumer)
        except Exception as error:  # noqa: BLE001 - a dead agent in a living process would stall unseen
            context.fail(error)

    run.__name__ = f"run_{type(agent).__name__}"
    return run


def _consume(app: Any, context: Context, agent: BatchAgent) -> Any:
    async def consume(stream: Any) -> None:
        async for event in stream.events():
            batch = event.value
            try:
                await agent.process(batch)
            except Exception as error:  # noqa: BLE001 - Faust would acknowledge the batch and restart the agent without it
                context.fail(error)
            finally:
                app.consumer.finished(batch)

    return consume


@cache
def _app() -> faust.App:
    return create_app(Settings())


def __getattr__(name: str) -> faust.App:
    """`app`, made on first use, so that importing this module needs no broker."""
    if name == "app":
        return _app()
    raise AttributeError(name)
