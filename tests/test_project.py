"""What a stranger finds in the repository: two commands that work, and nothing of the machine that it was written on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# Written so that this file does not match itself.
REGISTRY = re.compile(
    r"(?:pypi|pythonhosted|npmjs|crates)\.(?:org|io|com)|repo1?\.maven\.|proxy\.golang\.|deb\.debian\.", re.IGNORECASE
)
MACHINE_PATH = re.compile(r"(?:^|[^\w.])/(?:work|farm|root|home|Users)/", re.MULTILINE)


@cache
def tracked() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return {
        name: (ROOT / name).read_text(errors="replace")
        for name in listed.split("\0")
        if name and (ROOT / name).is_file()
    }


def verbs() -> list[str]:
    return re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)


def configured_hosts() -> set[str]:
    """Where this machine's pip and uv look for packages: such an address must not travel with the project."""
    pip = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    variables = " ".join(value for name, value in os.environ.items() if name.startswith(("PIP_", "UV_")))
    hosts = re.findall(r"https?://(?:[^/\s@'\"]*@)?([^/:\s'\"]+)", f"{pip} {variables}")
    return {host for host in hosts if not host.startswith(("127.", "localhost"))}


def test_no_path_of_a_machine_is_tracked() -> None:
    assert {name: found[0] for name, text in tracked().items() if (found := MACHINE_PATH.findall(text))} == {}


def test_no_registry_address_is_tracked() -> None:
    assert {name: found[0] for name, text in tracked().items() if (found := REGISTRY.findall(text))} == {}
    hosts = configured_hosts()
    assert [(name, host) for name, text in tracked().items() for host in hosts if host in text] == []


@pytest.mark.parametrize("text", ["see /" + "root/x", "/" + "home/me/x", "cd=/" + "work/main"])
def test_a_machine_path_is_recognised(text: str) -> None:
    assert MACHINE_PATH.search(text)


@pytest.mark.parametrize("text", ["streams/" + "work/x", "../" + "work/x", "https://host/framework/x"])
def test_other_paths_are_fine(text: str) -> None:
    assert not MACHINE_PATH.search(text)


@pytest.mark.parametrize(
    "host", ["pypi" + ".org", "files.pythonhosted" + ".org", "repo1.maven" + ".org", "registry.npmjs" + ".org"]
)
def test_a_registry_is_recognised(host: str) -> None:
    assert REGISTRY.search(f"https://{host}/simple")


def test_makefile_has_at_most_eight_verbs_and_help_shows_each() -> None:
    shown = subprocess.run(
        ["make", "--no-print-directory", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert len(verbs()) <= 8
    assert set(re.findall(r"^  make ([a-z]+)", shown, re.MULTILINE)) == set(verbs())
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    assert set(phony[1].split()) == set(verbs())


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_commands_of_a_page_exist(page: str) -> None:
    named = re.findall(r"(?:^    |`)make ([a-z]+)", (ROOT / page).read_text(), re.MULTILINE)
    assert {"demo", "test"} <= set(named) <= set(verbs())


def test_readme_shows_both_commands_on_its_first_screen() -> None:
    screen = (ROOT / "README.md").read_text().splitlines()[:24]
    assert [line.split()[1] for line in screen if line.startswith("    make ")] == ["demo", "test"]


def test_links_between_pages_lead_somewhere() -> None:
    pages = {name: text for name, text in tracked().items() if name.endswith(".md")}
    missing = [
        (name, target)
        for name, text in pages.items()
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", text)
        if not (ROOT / name).parent.joinpath(target).exists()
    ]
    assert missing == []


def test_changelog_keeps_its_form() -> None:
    headings = re.findall(r"^##+ (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    releases = [heading for heading in headings if heading.startswith("[")]
    assert releases[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", release) for release in releases[1:])
    assert set(headings) - set(releases) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_licence_is_the_one_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["license"] == "Apache-2.0"
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_ci_calls_the_verb_that_the_readme_teaches() -> None:
    script = (ROOT / ".ci/run").read_text()
    assert os.access(ROOT / ".ci/run", os.X_OK)
    assert "set -euo pipefail" in script
    assert [line for line in script.splitlines() if line.startswith(("make", "pip", "apt"))] == ["make test"]


def test_decisions_are_numbered_and_short() -> None:
    records = sorted((ROOT / "docs/decisions").glob("*.md"))
    numbers = [record.name[:4] for record in records]
    assert len(set(numbers)) == len(numbers)
    for record in records:
        text = record.read_text()
        assert text.startswith(f"# {record.name[:4]}"), record.name
        assert len(text.splitlines()) <= 60, record.name
