"""Reading the TOML files of needles and constraints: exact numbers, nothing unknown let through."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any

from irplan.errors import InputRefused


def read_toml(path: Path) -> dict[str, Any]:
    """The file's content, numbers with a point as ``Decimal``.

    Raises:
        InputRefused: the file is absent, not UTF-8 or not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except OSError as error:
        raise InputRefused("cannot_read", f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputRefused(
            "not_toml", f"{path}: is not TOML: {error}", "see the shipped defaults for the form"
        ) from error


def read_default(name: str) -> dict[str, Any]:
    """One of the files under ``defaults/``."""
    text = (files("irplan.trajectory") / "defaults" / name).read_text(encoding="utf-8")
    return tomllib.loads(text, parse_float=Decimal)


def refuse_unknown(where: str, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Refuse keys that mean nothing: a misspelt limit would else be a limit that is not there.

    Raises:
        InputRefused: a key is not among ``known``.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputRefused(
            "unknown_key",
            f"{where}: unknown key {', '.join(unknown)}",
            f"known are {', '.join(known)}",
        )


def number(where: str, value: Any, low: Decimal, high: Decimal) -> Decimal:
    """A number of a rule file as ``Decimal``, within [low, high].

    Raises:
        InputRefused: not a number (true and false are none), not finite, or out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise InputRefused("not_a_number", f"{where}: {value!r} is not a number")
    exact = Decimal(value)
    if not exact.is_finite() or not low <= exact <= high:
        raise InputRefused("out_of_range", f"{where}: {value} is not between {low} and {high}")
    return exact


def text(where: str, value: Any) -> str:
    """A text of a rule file that is not empty.

    Raises:
        InputRefused: not a text, or empty.
    """
    if not isinstance(value, str) or not value.strip():
        raise InputRefused("not_text", f"{where}: {value!r} is not a text")
    return value


def texts(where: str, value: Any) -> tuple[str, ...]:
    """A list of texts of a rule file, not empty.

    Raises:
        InputRefused: not a list of texts, or empty.
    """
    if not isinstance(value, list) or not value:
        raise InputRefused("not_a_list", f"{where}: {value!r} is not a list of texts")
    return tuple(text(where, item) for item in value)
