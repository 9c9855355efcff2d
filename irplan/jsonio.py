"""JSON documents: exact numbers, one canonical form, one hash.

The writer takes ``Decimal`` and ``int`` and refuses ``float``: a measured value is rounded by
:mod:`irplan.units` first, so no document can carry an unrounded or non-finite number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from irplan.units import decimal_text

#: null, true, false and kinds of text that are not plain text.
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
    # The kinds that documents mostly hold come first.
    kind = type(value)
    if kind is str:
        out.append(encode_basestring(value))
    elif kind is dict:
        _write_object(value, out, indent, level)
    elif kind is list:
        _write_list(value, out, indent, level)
    elif isinstance(value, Decimal):
        out.append(decimal_text(value))
    elif value is None or isinstance(value, bool | str):
        out.append(_quoted(value))
    elif isinstance(value, int):
        out.append(str(value))
    elif isinstance(value, Mapping):
        _write_object(value, out, indent, level)
    elif isinstance(value, Sequence):
        _write_list(value, out, indent, level)
    else:
        raise TypeError(f"not a value of a document: {type(value).__name__} {value!r}")


def _write_object(value: Mapping[str, Any], out: list[str], indent: int | None, level: int) -> None:
    if not value:
        out.append("{}")
        return
    comma, end = _between(indent, level)
    lead = "{" + end[0]
    for key, item in value.items():
        if not isinstance(key, str):
            raise TypeError(f"a document's key must be text: {key!r}")
        out.append(f"{lead}{encode_basestring(key)}: ")
        _write(item, out, indent, level + 1)
        lead = comma
    out.append(end[1] + "}")


def _write_list(value: Sequence[Any], out: list[str], indent: int | None, level: int) -> None:
    # A position or an angle pair reads better on one line.
    if all(isinstance(item, int | Decimal) for item in value):
        indent = None
    comma, end = _between(indent, level)
    lead = "[" + end[0]
    for item in value:
        out.append(lead)
        _write(item, out, indent, level + 1)
        lead = comma
    out.append(end[1] + "]" if value else "[]")


def _between(indent: int | None, level: int) -> tuple[str, tuple[str, str]]:
    """What stands between two items, and before the first and after the last."""
    if indent is None:
        return ", ", ("", "")
    inner = "\n" + " " * (indent * (level + 1))
    return "," + inner, (inner, "\n" + " " * (indent * level))


def loads(text: str | bytes, *, parse_float: Callable[[str], Any] = Decimal) -> Any:
    """The document in ``text`` with every number that has a point as ``Decimal``.

    Args:
        parse_float: what reads a number with a point or an exponent instead.

    Raises:
        ValueError: not JSON, or it holds ``NaN`` or ``Infinity``, or a key twice, or it is nested
            too deep to be read.
    """
    try:
        return json.loads(
            text,
            parse_float=parse_float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def plain_number(text: str) -> Decimal | str:
    """A number as it is written; with an exponent it stays text, for the reader to refuse."""
    return text if "e" in text.lower() else Decimal(text)


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
