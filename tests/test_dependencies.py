"""The lock files: pinned by hash, free of addresses, complete, and permissively licensed."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
INSTALLED = {canonicalize_name(distribution.name) for distribution in importlib.metadata.distributions()}
LOCKS = ("requirements.lock", "deploy/requirements.lock")

PERMISSIVE = {"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "ISC", "MIT", "PSF-2.0", "Zlib"}
PERMISSIVE_CLASSIFIERS = {
    "Apache Software License",
    "BSD License",
    "ISC License (ISCL)",
    "MIT License",
    "Python Software Foundation License",
    "Repoze Public License",
}
# name: (what the package says of its licence, why it is fine to depend on it)
ACCEPTED = {
    "atheris": (
        "",
        "its metadata says nothing; Google publishes it under the Apache License 2.0, and only fuzzing uses it",
    ),
    "certifi": ("MPL-2.0", "a list of root certificates, unmodified; clickhouse-connect uses it"),
    "crc32c": (
        "LGPL-2.1-or-later",
        "an unmodified package of its own that kafka-python imports if it is there; whoever wants can replace or leave it out",
    ),
    "hypothesis": ("MPL-2.0", "only the tests use it"),
    "llvmlite": (
        "BSD-2-Clause AND Apache-2.0 WITH LLVM-exception",
        "both are permissive; the exception only takes conditions away; numba uses it",
    ),
    "pathspec": ("Mozilla Public License 2.0 (MPL 2.0)", "only the build and mypy use it, unmodified"),
    "pyruhvro": ("", "its metadata says nothing; the licence file in the package is the MIT licence"),
}


@dataclass(frozen=True)
class Pin:
    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]

    def applies(self) -> bool:
        return not self.marker or Marker(self.marker).evaluate()


def pins(lock: str) -> list[Pin]:
    text = (ROOT / lock).read_text()
    entries = re.findall(r"^([a-z0-9-]+)==(\S+)(?: ; (.+?))? \\\n((?:    --hash=\S+(?: \\)?\n)+)", text, re.MULTILINE)
    return [
        Pin(name, version, marker, tuple(re.findall(r"--hash=(\S+)", hashes)))
        for name, version, marker, hashes in entries
    ]


def requirements() -> list[Requirement]:
    extras = (line for lines in PROJECT["optional-dependencies"].values() for line in lines)
    return [Requirement(line) for line in (*PROJECT["dependencies"], *extras) if not line.startswith("tokenworth")]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_is_a_pin_a_hash_or_a_comment(lock: str) -> None:
    for line in (ROOT / lock).read_text().splitlines():
        assert re.fullmatch(r"\s*#.*|[a-z0-9-]+==\S+( ; .+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?", line), line
        assert "://" not in line, line


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash(lock: str) -> None:
    found = pins(lock)
    assert len(found) == len(re.findall(r"^[a-z0-9-]+==", (ROOT / lock).read_text(), re.MULTILINE)) > 50
    assert all(pin.hashes for pin in found)


def test_every_requirement_of_the_project_is_pinned() -> None:
    locked = {pin.name: pin.version for pin in pins("requirements.lock") if pin.applies()}
    for requirement in requirements():
        name = canonicalize_name(requirement.name)
        assert name in locked, f"{name}: run `make lock`"
        assert requirement.specifier.contains(locked[name]), f"{requirement}, locked {locked[name]}: run `make lock`"


def test_the_image_installs_what_the_tests_ran_with() -> None:
    everything = set(pins("requirements.lock"))
    image = set(pins("deploy/requirements.lock"))
    assert image <= everything
    worker = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["worker"]
    assert {canonicalize_name(Requirement(line).name) for line in worker} <= {pin.name for pin in image}
    assert {"pytest", "mypy", "chdb"}.isdisjoint(pin.name for pin in image)


def test_this_environment_is_the_locked_one() -> None:
    differ = {
        pin.name: (pin.version, importlib.metadata.version(pin.name))
        for pin in pins("requirements.lock")
        if pin.applies()
    }
    assert {name: versions for name, versions in differ.items() if versions[0] != versions[1]} == {}


def licence(name: str) -> tuple[str, bool]:
    """What the package says, and whether that is permissive."""
    metadata = importlib.metadata.metadata(name)
    for field in ("License-Expression", "License"):
        stated = " ".join(metadata.get_all(field) or []).strip()
        parts = {part for part in re.split(r"[\s()]+", stated) if part not in {"", "AND", "OR"}}
        if parts and parts <= PERMISSIVE:
            return stated, True
        if parts and (field == "License-Expression" or name in ACCEPTED):
            return stated, False
    classifiers = [
        text.rpartition(" :: ")[2] for text in metadata.get_all("Classifier") or [] if text.startswith("License ::")
    ]
    kinds = [text for text in classifiers if text != "DFSG approved"]
    return " / ".join(kinds), bool(kinds) and set(kinds) <= PERMISSIVE_CLASSIFIERS


def test_licences_are_permissive_or_accepted_for_a_reason() -> None:
    for pin in pins("requirements.lock"):
        if pin.applies():
            stated, permissive = licence(pin.name)
            assert permissive or (pin.name in ACCEPTED and stated == ACCEPTED[pin.name][0]), f"{pin.name}: {stated!r}"


def test_accepted_licences_are_still_needed() -> None:
    locked = pins("requirements.lock")
    assert set(ACCEPTED) <= {pin.name for pin in locked}
    here = {pin.name for pin in locked if pin.applies()}
    assert not [name for name in here & ACCEPTED.keys() if licence(name)[1]]
    assert "MIT License" in "".join(
        file.read_text() for file in importlib.metadata.files("pyruhvro") or [] if file.name == "LICENSE"
    )


# Refuses whatever the base install does not bring, then imports the module named by the first argument.
BASE_ONLY = """
import importlib, sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[2:]:
            raise ModuleNotFoundError(f"{name} is not in the base install", name=name)

sys.meta_path.insert(0, Refuse())
importlib.import_module(sys.argv[1])
"""


@pytest.mark.parametrize("module", ["streams.publish", "streams.cli"])
def test_a_publisher_needs_only_the_base_install(module: str) -> None:
    extras = {pin.name for pin in pins("requirements.lock")} - base_closure()
    refused = {top for name in extras if name in INSTALLED for top in modules(name)} - {"streams"}
    assert {"polars", "faust", "clickhouse_connect", "structlog"} <= refused
    run = subprocess.run(
        [sys.executable, "-c", BASE_ONLY, module, *sorted(refused)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def modules(name: str) -> set[str]:
    """Top-level modules of an installed distribution."""
    paths = [file.parts for file in importlib.metadata.files(name) or []]
    return {parts[0].partition(".")[0] for parts in paths if parts[-1].endswith((".py", ".so")) and parts[0] != ".."}


def base_closure() -> set[str]:
    """Names of the base dependencies and all that they need."""
    known: set[str] = set()
    waiting = [Requirement(line) for line in PROJECT["dependencies"]]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name in known or name not in INSTALLED:
            continue
        known.add(name)
        needs = (Requirement(line) for line in importlib.metadata.requires(name) or [])
        waiting.extend(
            need
            for need in needs
            if not need.marker or any(need.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras))
        )
    return known
