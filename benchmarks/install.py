"""Puts the systems beside each other: a virtual environment or a folder of jars each, made at first use, kept in the user's cache."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from benchmarks.catalog import System
from streams.errors import SetupError
from streams.local.broker import missing_for_kafka
from streams.local.directory import locked_directory

ROOT: Final = Path(__file__).parent.parent
SCHEMA: Final = ROOT / "schemas" / "usage_event" / "1.avsc"
_JVM: Final = ("-XX:+UseParallelGC", "-Xms2g", "-Xmx2g")
_PATIENCE_S: Final = 1200.0


def command(system: System) -> list[str]:
    """What starts the system, without arguments; installs it first where that is needed.

    Raises SetupError when it cannot be installed: no Java, no Maven, no network, no wheel for this Python.
    """
    if system.kind == "own":
        return [sys.executable, "-m", f"benchmarks.peers.{system.folder}.job"]
    made = _install(system)
    if system.kind == "venv":
        return [str(made / "venv" / "bin" / "python"), str(system.directory / "job.py")]
    return [java(), *_JVM, "-cp", f"{made / 'classes'}{os.pathsep}{made / 'lib'}/*", "Job"]


def java() -> str:
    """The Java that also runs the broker."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


def is_installed(system: System) -> bool:
    """Whether `command` returns at once."""
    return system.kind == "own" or (_home(system) / "ready").exists()


def version_of(system: System) -> str:
    """The pinned version of the system's own package."""
    if system.kind == "own":
        return version(system.version_of)
    text = _pins(system).read_text(encoding="utf-8")
    if system.kind == "java":
        found = re.search(r"<version>([\d.]+)</version>", text)
    else:
        found = re.search(rf"^{re.escape(system.version_of)}==(\S+)", text, re.MULTILINE)
    assert found, f"{system.version_of} is not pinned"
    return found[1]


def _pins(system: System) -> Path:
    return system.directory / ("pom.xml" if system.kind == "java" else "requirements.lock")


def _home(system: System) -> Path:
    """A folder for exactly these pins and, where it is compiled, this source."""
    parts = [_pins(system), *sorted(system.directory.glob("*.java"))]
    digest = hashlib.sha256(b"\0".join(part.read_bytes() for part in parts)).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tokenworth" / "peers" / f"{system.folder}-{digest}"


def _install(system: System) -> Path:
    home = _home(system)
    if system.kind == "java" and (missing := missing_for_kafka()):
        raise SetupError(missing)
    if is_installed(system):
        return home
    with locked_directory(home, patience_s=_PATIENCE_S):
        if not is_installed(system):
            try:
                (_build_jars if system.kind == "java" else _build_venv)(system, home)
            except (OSError, subprocess.CalledProcessError) as error:
                said = (getattr(error, "stderr", "") or getattr(error, "stdout", "") or str(error)).strip().splitlines()
                raise SetupError(f"{system.name} cannot be installed: {' '.join(said[-2:])}") from error
            (home / "ready").touch()
    return home


def _build_jars(system: System, home: Path) -> None:
    maven = ["mvn", "-q", "-B", "-f", str(_pins(system)), f"-Dout={home}", "compile", "dependency:copy-dependencies"]
    subprocess.run(maven, check=True, capture_output=True, text=True)


def _build_venv(system: System, home: Path) -> None:
    venv = home / "venv"
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True, capture_output=True, text=True)
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "--require-hashes", "--no-deps", "--requirement", str(_pins(system))],
        check=True,
        capture_output=True,
        text=True,
    )
