"""On which line of a TOML file each key stands, so that a refusal can name it.

The standard library's reader keeps no positions. This index reads the forms that protocol files
use: headers, arrays of tables, bare and quoted keys, values over several lines.
"""

from __future__ import annotations

import re

_HEADER = re.compile(r"^\s*\[(\[)?\s*([^\[\]]+?)\s*\]")
_KEY = re.compile(
    r"^\s*((?:[A-Za-z0-9_-]+|\"[^\"]*\")(?:\s*\.\s*(?:[A-Za-z0-9_-]+|\"[^\"]*\"))*)\s*="
)

Path = tuple[str | int, ...]


def line_index(text: str) -> dict[Path, int]:
    """Line number (from 1) of every header and key, by its path.

    An element of an array of tables has its number in the path: ``("drugs", 0, "name")``.
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    open_brackets = 0
    in_text = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if in_text:
            if line.count(in_text) % 2:
                in_text = ""
            continue
        if open_brackets == 0:
            header = _HEADER.match(line)
            key = _KEY.match(line)
            if header:
                name: Path = _parts(header.group(2))
                if header.group(1):
                    name = _inside(name, counts)
                    counts[name] = counts.get(name, -1) + 1
                    name = (*name, counts[name])
                else:
                    name = _inside(name, counts)
                table = name
                lines.setdefault(table, number)
                continue
            if key:
                lines.setdefault((*table, *_parts(key.group(1))), number)
                line = line[key.end() :]
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                in_text = mark
        if not in_text:
            bare = re.sub(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|#.*$", "", line)
            open_brackets += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
    return lines


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip('"') for part in dotted.split("."))


def _inside(name: Path, counts: dict[Path, int]) -> Path:
    """The path of ``[a.b]`` where ``a`` is an array of tables: inside its last element."""
    for length in range(len(name) - 1, 0, -1):
        head = name[:length]
        if head in counts:
            return (*head, counts[head], *name[length:])
    return name


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of ``path``, or of the nearest thing that holds it."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None
