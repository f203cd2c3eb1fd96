"""`python -m tests.deliver.kills --seed 1 --kills 200`: a long run. Exits with 1 when anything is wrong."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.deliver.kills.run import Options, run


def main() -> int:
    """Run, and print what it came to."""
    usual = Options()
    parser = argparse.ArgumentParser(prog="python -m tests.deliver.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=usual.seed, help="of the episodes, the receivers and the kills")
    parser.add_argument("--kills", type=int, default=usual.kills, help="five to ten seconds each")
    with tempfile.TemporaryDirectory(prefix="tokenworth-kills-") as directory:
        found = run(Options(**vars(parser.parse_args())), Path(directory))
    print(found, *found.problems, sep="\n")
    return 1 if found.problems else 0


if __name__ == "__main__":
    sys.exit(main())
