"""One target under atheris, which looks for new paths through the code: `python -m tests.fuzz.guided TARGET [libFuzzer options] CORPUS`."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(
    include=["streams", "fastavro", "aiokafka.record", "aiokafka.consumer.fetcher"], enable_loader_override=False
):
    from tests.fuzz.targets import TARGETS

if __name__ == "__main__":
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target)
    atheris.Fuzz()
