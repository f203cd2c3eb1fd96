"""What a command says when it cannot do its work: one clear message with a remedy, and an exit code that a script can rely on.

0  done; with a check: everything is as it should be
1  a check failed or results differ; also a failure of tokenworth itself
2  wrong usage, or a setting with a value that cannot work
3  the surroundings are not there: broker, topics, ClickHouse, data directory, an extra that is not installed
130  interrupted
"""

from __future__ import annotations

import os
import sys
import traceback
from importlib.util import find_spec
from typing import Any, Final

import typer
from typer.core import TyperGroup

from streams.errors import ConfigError, SetupError, TokenworthError

FAILED: Final = 1
WRONG_USAGE: Final = 2
NOT_THERE: Final = 3
INTERRUPTED: Final = 130

_REMEDY_WITHOUT_ONE: Final = "see `tokenworth COMMAND --help`; `tokenworth --debug COMMAND` shows where it failed"
_LOCAL: Final = frozenset({"aiohttp", "chdb", "psutil", "zstandard"})
_WORKER: Final = frozenset(
    {
        "aiokafka",
        "clickhouse_connect",
        "faust",
        "mode",
        "numpy",
        "polars",
        "prometheus_client",
        "pyarrow",
        "pyruhvro",
        "structlog",
    }
)


class Commands(TyperGroup):
    """A group of commands whose failures become messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command. `--debug` shows the traceback of what failed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader, such as `head`, has enough. Python would complain once more when it flushes stdout at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except Exception as error:
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # wrong usage and wanted ends: typer tells them
            if ctx.params.get("debug"):
                traceback.print_exc()
            tell(error)
            raise typer.Exit(exit_code(error)) from None


def exit_code(error: Exception) -> int:
    """The exit code that stands for an error."""
    match error:
        case ConfigError():
            return WRONG_USAGE
        case SetupError():
            return NOT_THERE
        case ModuleNotFoundError() if extra_of(error):
            return NOT_THERE
        case _:
            return FAILED


def require_local() -> None:
    """Raise ModuleNotFoundError when the extra 'local' is not installed: its processes would fail one by one, and less clearly."""
    for module in sorted(_LOCAL | _WORKER):
        if find_spec(module) is None:
            raise ModuleNotFoundError(f"no module named {module}", name=module)


def extra_of(error: ModuleNotFoundError) -> str:
    """The extra of the distribution that has the missing module; '' for a module that none of them has."""
    module = (error.name or "").partition(".")[0]
    return "local" if module in _LOCAL else "worker" if module in _WORKER else ""


def tell(error: Exception) -> None:
    """Print the message to stderr, and the remedy below it."""
    if isinstance(error, TokenworthError):
        _print(error.message, error.remedy or _REMEDY_WITHOUT_ONE)
    elif isinstance(error, ModuleNotFoundError) and extra_of(error):
        _print(f"this command needs the extra '{extra_of(error)}'", f"pip install 'tokenworth[{extra_of(error)}]'")
    else:
        first_line = str(error).partition("\n")[0]
        _print(
            f"tokenworth failed: {type(error).__name__}: {first_line}",
            "run it again with `tokenworth --debug ...` to see where",
        )


def _print(message: str, remedy: str) -> None:
    from rich.console import Console  # noqa: PLC0415 - only a failure needs it
    from rich.text import Text  # noqa: PLC0415

    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(Text("error  ", style="bold red") + Text(message))
    if remedy:
        console.print(Text("remedy ", style="bold") + Text(remedy))
    sys.stderr.flush()
