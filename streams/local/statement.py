"""Where a ClickHouse statement ends and its data begin.

ClickHouse's HTTP interface takes `INSERT ... FORMAT X` with the data behind it, in the same body or, with the statement in the URL, in a body of
its own. The embedded engine reads data from files only, so the statement has to be cut at the right byte and pointed at a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Bytes, because binary data may follow the text. A word behind a dot keeps the dot: it is never a keyword.
_TOKEN = re.compile(
    rb"""(?P<blank>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?\*/)
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|`(?:[^`\\]|\\.|``)*`|\$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
    |(?P<word>\.?[A-Za-z_]\w*)
    |(?P<mark>[^\s\w'"`$/\#\-()\[\]{};.]+|\w+|.)""",
    re.VERBOSE | re.DOTALL,
)
_DATA_GAP = re.compile(rb"[ \t\f]*\r?\n?")
_FORMAT_CLAUSE = re.compile(r" FORMAT ([A-Z]\w*)(?: SETTINGS .*)?(?: ;)*$", re.IGNORECASE)
_READS = frozenset({"SELECT", "WITH", "FROM", "SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", ""})


@dataclass(frozen=True)
class Statement:
    """One statement without its data."""

    sql: str  # text to run when no data come with it
    kind: str = (
        ""  # first keyword in upper case; '' when the statement begins with something else, such as a parenthesis
    )
    format: str = ""  # what its FORMAT clause names
    compound: bool = False  # another statement follows after a semicolon
    head: str = ""  # of an INSERT that takes data: the text before its SETTINGS and FORMAT
    tail: str = ""  # and from there to the name of the format
    data: bytes | None = None  # what follows that name; None: the statement takes no data

    @property
    def reads(self) -> bool:
        """Whether the statement changes nothing."""
        return self.kind in _READS

    @property
    def answers(self) -> bool:
        """Whether the statement has rows as its result, if only none."""
        return self.reads or self.kind == "KILL"

    def from_file(self, path: str, compression: str = "") -> str:
        """The INSERT with its data in a file, compressed with gzip, lz4, zstd, ... or ''."""
        packed = f" COMPRESSION '{compression}'" if compression else ""
        return f"{self.head} FROM INFILE '{path}'{packed} {self.tail}"


def parse(text: bytes) -> Statement:
    """Cut `text` into a statement and its data. Bad SQL passes: the engine has the better message.

    Raises UnicodeDecodeError when the statement itself is not UTF-8.
    """
    tokens = _outer_tokens(text)
    _, _, first = next(tokens, (0, 0, ""))
    if first.upper() == "INSERT":
        return _parse_insert(text, tokens)
    outer = " ".join((first, *(token for _, _, token in tokens)))
    clause = _FORMAT_CLAUSE.search(outer)
    kind = first.upper() if first.isalpha() else ""
    return Statement(
        text.decode(), kind, clause.group(1) if clause else "", compound=re.search(r"; [^;]", outer) is not None
    )


def _parse_insert(text: bytes, tokens: Iterator[tuple[int, int, str]]) -> Statement:
    cut = 0
    for start, end, token in tokens:
        match token.upper():
            case "INTO":
                _, _, target = next(tokens, (0, 0, ""))
                if target.upper() in ("TABLE", "FUNCTION"):
                    next(tokens, None)
            case "SELECT" | "WITH" | "FROM":
                break
            case "SETTINGS":
                cut = cut or start
            case "VALUES":
                return _with_data(text, cut or start, start, end, "Values")
            case "FORMAT":
                name_start, name_end, _ = next(tokens, (end, end, ""))
                return _with_data(text, cut or start, start, name_end, text[name_start:name_end].decode())
    return Statement(text.decode(), "INSERT")


def _with_data(text: bytes, cut: int, clause: int, end: int, name: str) -> Statement:
    gap = _DATA_GAP.match(text, end)
    assert gap is not None
    tail = f"{text[cut:clause].decode()} FORMAT {name}"
    return Statement(text[:end].decode(), "INSERT", name, head=text[:cut].decode(), tail=tail, data=text[gap.end() :])


def _outer_tokens(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Start, end and text of what stands outside brackets: words and semicolons as they are, anything else as '?'."""
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match.group()
        if match.lastgroup == "blank":
            continue
        if token in (b"(", b"[", b"{"):
            depth += 1
        elif token in (b")", b"]", b"}"):
            depth -= 1
        elif depth == 0:
            yield match.start(), match.end(), token.decode() if match.lastgroup == "word" or token == b";" else "?"
