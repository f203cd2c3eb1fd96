"""`python -m tests.faults`: a long run under faults drawn from a seed, or a soak without any. Exits with 1 when anything is wrong."""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.faults.report import report
from tests.faults.run import Options, run


def main() -> int:
    """Run, and print or write the report."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the schedule and of the traffic")
    parser.add_argument("--minutes", type=float, default=usual.minutes, help="of traffic")
    parser.add_argument("--faults", type=int, default=usual.faults, help="over these minutes; 0: a soak")
    parser.add_argument(
        "--events", type=int, default=usual.events, help="usage events; 0: as many as the workers apply in the time"
    )
    parser.add_argument(
        "--stall-clickhouse", action="store_true", help="ClickHouse answers nothing for the middle third"
    )
    parser.add_argument(
        "--no-verify",
        dest="verify",
        action="store_false",
        help="count records and ids, but do not recompute every row: that takes a minute for a million events",
    )
    parser.add_argument("--report", type=Path, help="where to write the report; else it is printed")
    parser.add_argument("--data-dir", type=Path, help="an empty directory that stays; else a temporary one")
    logging.disable(logging.CRITICAL)  # clients that complain of faults that are meant
    given = vars(parser.parse_args())
    written, data_dir = given.pop("report"), given.pop("data_dir")
    options = Options(**given)
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="tokenworth-faults-") as directory:
            found = run(options, Path(directory), _say)
    else:
        found = run(options, data_dir, _say)
    page = report(found)
    if written is None:
        sys.stdout.write(page)
    else:
        written.write_text(page)
    for problem in found.problems:
        _say(problem)
    return 1 if found.problems else 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
