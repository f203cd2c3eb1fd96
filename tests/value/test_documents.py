"""Where things stand in a TOML document."""

from __future__ import annotations

import pytest

from streams.errors import ConfigError
from streams.value.documents import Document, Place, line_of, lines_of

TEXT = """\
top = 1
[ one ]
a = 1
"b" = { c = 2 }
[[many]]
name = "first"
inner.x = 1
[[ many ]] # two
'name' = "second"
[many.inner]
x = 2
[[many.deep]]
y = 3
[[many.deep]]
y = 4
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("top",), 1),
        (("one",), 2),
        (("one", "a"), 3),
        (("one", "b", "c"), 4),  # in the line of what it is in
        (("one", "missing"), 2),
        (("many", 0), 5),
        (("many", 0, "inner", "x"), 7),
        (("many", 1, "name"), 9),
        (("many", 1, "inner", "x"), 11),
        (("many", 1, "deep", 0, "y"), 13),
        (("many", 1, "deep", 1, "y"), 15),
        (("nothing",), 1),
    ],
)
def test_the_line_of_a_place(place: Place, line: int) -> None:
    assert line_of(lines_of(TEXT), place) == line


@pytest.mark.parametrize(("text", "line"), [("a = 1\nb = \n", 2), ("a = 1\n[b\n", 2), ("a = 1\nb = [", 2)])
def test_what_is_no_toml_is_named_with_its_line(text: str, line: int) -> None:
    with pytest.raises(ConfigError, match=f"^file.toml:{line}: not valid TOML"):
        Document(text, "file.toml")
