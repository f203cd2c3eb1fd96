"""How a mapping says where a value comes from: a template, several by preference, or a choice by another column.

"{source}/{run}"                                   cells in a text; blank as soon as one of the cells is blank
["{finished_at}", "{started_at} + {duration_s} s"] the first that is not blank
{ column = "source", values = { a = "partial" }, otherwise = "full" }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from string import Formatter
from typing import Protocol

Cells = Mapping[str, str]
"""One row: column -> text, '' for a blank cell."""


class Expression(Protocol):
    """A text made of a row's cells; '' stands for no value."""

    @property
    def columns(self) -> frozenset[str]:
        """The columns that it reads."""

    def __call__(self, cells: Cells) -> str:
        """The text for this row."""


@dataclass(frozen=True, slots=True)
class Template:
    """Literal texts and, after each, the column whose cell follows it (None at the end)."""

    parts: tuple[tuple[str, str | None], ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns in braces."""
        return frozenset(column for _, column in self.parts if column is not None)

    def __call__(self, cells: Cells) -> str:
        """The filled template; '' when any of its cells is blank."""
        out = []
        for literal, column in self.parts:
            out.append(literal)
            if column is not None:
                cell = cells[column]
                if not cell:
                    return ""
                out.append(cell)
        return "".join(out)


@dataclass(frozen=True, slots=True)
class FirstOf:
    """The first alternative that is not blank."""

    alternatives: tuple[Expression, ...]

    @property
    def columns(self) -> frozenset[str]:
        """The columns of all alternatives."""
        return frozenset[str]().union(*(alternative.columns for alternative in self.alternatives))

    def __call__(self, cells: Cells) -> str:
        """The text of the first alternative with one, or ''."""
        return next((text for text in (alternative(cells) for alternative in self.alternatives) if text), "")


@dataclass(frozen=True, slots=True)
class Choice:
    """A text chosen by the cell of a column."""

    column: str
    values: Mapping[str, str]
    otherwise: str

    @property
    def columns(self) -> frozenset[str]:
        """The column that decides."""
        return frozenset({self.column})

    def __call__(self, cells: Cells) -> str:
        """The text that belongs to the cell."""
        return self.values.get(cells[self.column], self.otherwise)


def parse_expression(value: object) -> Expression:
    """The expression that a TOML value stands for. Raises ValueError when it stands for none."""
    if isinstance(value, str):
        return Template(tuple((literal, _column(name, spec)) for literal, name, spec, _ in Formatter().parse(value)))
    if isinstance(value, list):
        return FirstOf(tuple(parse_expression(part) for part in value))
    if isinstance(value, dict) and set(value) == {"column", "values", "otherwise"}:
        values = {str(cell): str(text) for cell, text in dict(value["values"]).items()}
        return Choice(str(value["column"]), values, str(value["otherwise"]))
    raise ValueError('write "text with {columns}", a list of such texts, or {column, values, otherwise}')


def _column(name: str | None, spec: str | None) -> str | None:
    if name == "" or spec:
        raise ValueError("a column stands in braces, without more: {started_at}")
    return name
