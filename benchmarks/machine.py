"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks.install import java


def machine_facts() -> dict[str, str | float]:
    """CPU, cores that this process may use, memory, load of the last minute, kernel and the versions of what every system stands on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "memory_mb": round(psutil.virtual_memory().total / 1e6),
        "load_average": round(os.getloadavg()[0], 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "java": _java(),
        **{name: version(name) for name in ("chdb", "polars", "pyarrow", "aiokafka", "faust-streaming")},
    }


def _cpu_model() -> str:
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(encoding="ascii"), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def _java() -> str:
    try:
        said = subprocess.run([java(), "-version"], capture_output=True, text=True, check=False).stderr
    except OSError:
        return "absent"
    found = re.search(r'version "([^"]+)"', said)
    return found[1] if found else "absent"
