"""JSON documents: exact numbers, one canonical form, one hash.

The writer takes ``Decimal`` and ``int`` and refuses ``float``: a measured value is rounded by
:mod:`irplan.units` first, so no document can carry an unrounded or non-finite number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from irplan.units import decimal_text

#: Text as JSON; made once, since a plan holds thousands of pieces of text.
_quoted = json.JSONEncoder(ensure_ascii=False).encode


def dumps(value: Any, *, indent: int | None = 2) -> str:
    """JSON text of dicts, lists, strings, ``Decimal``, ``int``, ``bool`` and ``None``.

    Keys keep their order. ``indent=None`` gives one line.

    Raises:
        TypeError: a float or another type is inside.
    """
    pieces: list[str] = []
    _write(value, pieces, indent, 0)
    return "".join(pieces)


def _write(value: Any, out: list[str], indent: int | None, level: int) -> None:
    if value is None or isinstance(value, bool | str):
        out.append(_quoted(value))
    elif isinstance(value, Decimal):
        out.append(decimal_text(value))
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, Mapping):
        entries = [(f"{_quoted(_key(key))}: ", item) for key, item in value.items()]
        _write_items(entries, "{}", out, indent, level)
    elif isinstance(value, Sequence):
        _write_items([("", item) for item in value], "[]", out, indent, level)
    else:
        raise TypeError(f"not a value of a document: {type(value).__name__} {value!r}")


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a document's key must be text: {key!r}")
    return key


def _write_items(
    entries: list[tuple[str, Any]], brackets: str, out: list[str], indent: int | None, level: int
) -> None:
    out.append(brackets[0])
    # A position or an angle pair reads better on one line.
    numbers_only = brackets == "[]" and all(isinstance(item, int | Decimal) for _, item in entries)
    flat = indent is None or numbers_only
    for number, (prefix, item) in enumerate(entries):
        if number:
            out.append(", " if flat else ",")
        if not flat:
            out.append("\n" + " " * ((indent or 0) * (level + 1)))
        out.append(prefix)
        _write(item, out, indent, level + 1)
    if entries and not flat:
        out.append("\n" + " " * ((indent or 0) * level))
    out.append(brackets[1])


def loads(text: str | bytes) -> Any:
    """The document in ``text`` with every number that has a point as ``Decimal``.

    Raises:
        ValueError: not JSON, or it holds ``NaN`` or ``Infinity``, or a key twice.
    """
    return json.loads(
        text,
        parse_float=Decimal,
        parse_constant=_refuse_constant,
        object_pairs_hook=_unique_keys,
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return document


def canonical(document: Any) -> bytes:
    """The one form that is hashed: sorted keys, no spaces that mean nothing, UTF-8."""
    return dumps(_sorted(document), indent=None).encode()


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in value]
    return value


def sha256_of(document: Any) -> str:
    """SHA-256, in hexadecimal, of the canonical form."""
    return hashlib.sha256(canonical(document)).hexdigest()
