"""Settings of a command: TOKENWORTH_* and tokenworth.toml, overridden by the command's options; wrong ones named one by one."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streams.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

    from streams.config import Settings
    from streams.detect.calendar import Calendar


def load_settings(**options: Any) -> Settings:
    """The settings; options that are None were not given. Raises ConfigError that names each setting with a value that cannot work."""
    from pydantic import ValidationError  # noqa: PLC0415 - keeps --help instant

    from streams.config import Settings  # noqa: PLC0415

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise _named(error, Settings) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError("tokenworth.toml", f"not valid TOML: {error}", remedy="correct that line") from None


def known_calendars(settings: Settings) -> tuple[Calendar, ...]:
    """The calendars of the channels file that the settings name: its holidays count for rules. Raises ConfigError."""
    from streams.deliver.configuration import load_calendars  # noqa: PLC0415

    return load_calendars(Path(settings.channels)) if settings.channels else ()


def _named(error: ValidationError, settings: type[Settings]) -> ConfigError:
    problems = error.errors(include_url=False)
    first, *more = problems
    name = str(first["loc"][0]) if first["loc"] else ""
    field = settings.model_fields.get(name)
    setting = f"TOKENWORTH_{name.upper()}" if field else "tokenworth.toml"
    text = _problem(first, field is not None)
    for other in more:
        text += f"; TOKENWORTH_{str(other['loc'][0]).upper()}: {_problem(other, known=True)}"
    what = f"it is the {field.description}" if field else "streams/config.py lists all settings"
    return ConfigError(setting, text, remedy=f"{what}; set it in the environment or as {name} in tokenworth.toml")


def _problem(problem: ErrorDetails, known: bool) -> str:
    if not known:
        return f"{problem['loc'][0]} is no setting"
    message = problem["msg"][0].lower() + problem["msg"][1:]
    value = problem["input"]
    return message if problem["loc"][0] == "actor_key" else f"{message}, not {value!r}"
