"""A skip is visible everywhere and a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CASES = {
    "test": "import pytest\n\ndef test_passes():\n    pass\n\n@pytest.mark.skip(reason='no Java')\ndef test_skips():\n    pass\n",
    "module": "import pytest\n\npytest.importorskip('no_such_module')\n\ndef test_never():\n    pass\n",
    "none": "import pytest\n\ndef test_passes():\n    pass\n\n@pytest.mark.xfail\ndef test_known():\n    assert False\n",
}


def run(case: str, folder: Path, ci: str, processes: int = 0) -> tuple[int, str]:
    (folder / "test_case.py").write_text(CASES[case])
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.no_skips",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(folder),
        "-c",
        os.devnull,
        "--numprocesses",
        str(processes),
        str(folder),
    ]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CI": ci}, capture_output=True, text=True, check=False, timeout=60
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("processes", [0, 2])
@pytest.mark.parametrize("case", ["test", "module"])
def test_ci_fails_on_a_skip_and_names_it(case: str, processes: int, tmp_path: Path) -> None:
    code, output = run(case, tmp_path, "true", processes)
    assert code != 0
    assert "nothing may be skipped" in output
    assert "test_case.py" in output.partition("nothing may be skipped")[2]


def test_elsewhere_a_skip_is_no_failure(tmp_path: Path) -> None:
    code, output = run("test", tmp_path, ci="")
    assert (code, "1 passed, 1 skipped" in output) == (0, True)


def test_ci_passes_without_skips(tmp_path: Path) -> None:
    code, output = run("none", tmp_path, ci="true")
    assert (code, "1 passed, 1 xfailed" in output) == (0, True)
