"""Long runs: `python -m tests.fuzz --minutes 10 [--target decode]` shares the time between the targets, one after the other.

Each runs in a process of its own, so that a crash of a native library is noticed as well: under atheris where that is installed (Linux on x86-64),
else with random scripts. A script that breaks something is kept in .local/fuzz/TARGET/crash-*; `--script FILE` runs it again.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from random import Random

from tests.fuzz.targets import TARGETS

KEPT = Path(".local/fuzz")
SCRIPT_BYTES = 1500
SEEDS = 40
HANG_S = 30
MEMORY_MB = 4096


def main() -> int:
    """One line per target; 1 when one of them broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for all targets together [10]")
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this one; may be repeated")
    parser.add_argument("--script", type=Path, help="run one kept script of --target again")
    parser.add_argument("--random", action="store_true", help="random scripts, as without atheris")
    options = parser.parse_args()
    targets = options.target or list(TARGETS)
    if options.script:
        TARGETS[targets[0]](options.script.read_bytes())
        return 0
    seconds = options.minutes * 60 / len(targets)
    if options.random:
        return _at_random(targets[0], seconds)
    return max(_run(target, seconds) for target in targets)


def _run(target: str, seconds: float) -> int:
    kept = KEPT / target
    corpus = kept / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    if find_spec("atheris"):
        for seed in range(SEEDS):
            (corpus / f"seed-{seed}").write_bytes(Random(seed).randbytes(SCRIPT_BYTES))
        argv = [
            "tests.fuzz.guided",
            target,
            f"-max_total_time={seconds:.0f}",
            f"-max_len={SCRIPT_BYTES}",
            "-len_control=0",
        ]
        argv += [
            f"-timeout={HANG_S}",
            f"-rss_limit_mb={MEMORY_MB}",
            "-print_final_stats=1",
            f"-artifact_prefix={kept}/",
            str(corpus),
        ]
    else:
        argv = ["tests.fuzz", "--random", "--target", target, "--minutes", str(seconds / 60)]
    began = time.monotonic()
    with (kept / "log").open("w") as log:
        code = subprocess.run([sys.executable, "-m", *argv], stdout=log, stderr=log, check=False).returncode
    text = (kept / "log").read_text(errors="replace")
    runs = re.findall(r"(?:number_of_executed_units: |^#)(\d+)", text, re.MULTILINE)
    result = "nothing broke" if code == 0 else f"broke with code {code}: see {kept}"
    print(f"{target:<8}{runs[-1] if runs else 0:>10} scripts in {time.monotonic() - began:.0f} s: {result}", flush=True)
    return int(code != 0)


def _at_random(target: str, seconds: float) -> int:
    """Random scripts; the one in work lies in a file, so that a crash leaves it behind."""
    current = KEPT / target / "crash-random"
    deadline, seed = time.monotonic() + seconds, time.time_ns()
    runs = 0
    while time.monotonic() < deadline:
        script = Random(seed + runs).randbytes(SCRIPT_BYTES)
        current.write_bytes(script)
        TARGETS[target](script)
        runs += 1
    current.unlink()
    print(f"#{runs}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
