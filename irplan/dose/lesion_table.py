"""The lesions to be dosed, and their tables: CSV and JSON, every cell checked.

Volumes are in mL and rounded half-even to 0.001 mL before anything is computed from them;
diameters are in mm. A number has a decimal point or is refused.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from pathlib import Path

from irplan import jsonio
from irplan.dose.table_io import (
    cell_text,
    decimal_cell,
    flag_cell,
    read_csv,
    read_parquet,
    read_text,
)
from irplan.errors import InputRefused
from irplan.units import EXACT, ml

#: π to more places than any product of diameters can use up.
PI = Decimal("3.14159265358979323846264338327950288419716939937510")

#: No lesion is larger than this, mL: a volume beyond it was written in another unit.
LARGEST_ML = Decimal(10_000)

GUIDANCES = ("ct", "ultrasound", "palpation")
NUMBER_COLUMNS = (
    "volume_ml",
    "volume_low_ml",
    "volume_high_ml",
    "longest_diameter_mm",
    "short_axis_mm",
    "min_ml",
    "max_ml",
)
ZERO_MAKES_SENSE = ("volume_low_ml", "min_ml", "max_ml")
DIAMETER_COLUMNS = ("d1_mm", "d2_mm", "d3_mm")
TEXT_COLUMNS = ("site", "side", "reason")
#: What a list of measured lesions holds besides; read over. All keys of a lesion's document stand
#: here or above: a list that irplan wrote must be one that it allocates from.
OTHER_COLUMNS = (
    "label",
    "source_label",
    "name",
    "source",
    "kind",
    "longest_diameter_ends_lps_mm",
    "short_axis_ends_lps_mm",
    "diameter_3d_mm",
    "diameter_3d_ends_lps_mm",
    "diameter_source",
    "measured_diameter_mm",
    "measured_diameter_ends_lps_mm",
    "short_axis_source",
    "measured_short_axis_mm",
    "measured_short_axis_ends_lps_mm",
    "diameter_3d_source",
    "measured_diameter_3d_mm",
    "measured_diameter_3d_ends_lps_mm",
    "centroid_lps_mm",
    "depth_below_skin_mm",
    "mean_hu",
    "sd_hu",
    "side_source",
    "site_proposed",
    "necrotic_share",
    "necrosis_unknown_why",
    "contacts",
    "segmenter",
    "certainty",
    "border_seen_share",
    "findings",
    "comment",
    "note",
)
KNOWN_COLUMNS = (
    "lesion_id",
    *NUMBER_COLUMNS,
    *DIAMETER_COLUMNS,
    *TEXT_COLUMNS,
    "guidance",
    "injectable",
    "previously_injected",
    "fixed_ml",
    "priority",
)
FIXED_PREFIX = "fixed_ml:"


@dataclass(frozen=True)
class DoseLesion:
    """One lesion as it is dosed. ``None`` or '' is unknown.

    Attributes:
        volume_ml, volume_low_ml, volume_high_ml: volume and its nine-in-ten band, mL.
        longest_diameter_mm, short_axis_mm: mm.
        guidance: ct, ultrasound, palpation, or ''.
        injectable: False excludes the lesion, with ``reason``.
        previously_injected: None is unknown.
        min_ml, max_ml: a person's bounds on what the lesion gets, all drugs together, mL.
        fixed_ml: (drug, mL) set by hand, with ``reason``; the drug is '' where there is one.
        priority: who is kept where lesions are limited; 1 comes first, None last.
        from_diameters: the volume is that of an ellipsoid.
        ellipsoid_ml: volume of the ellipsoid with the three diameters, where they are known.
        diameters_mm: the three diameters as the table gives them, or ().
        where: file and line that the lesion was read from, or ''.
    """

    lesion_id: str
    volume_ml: Decimal | None = None
    volume_low_ml: Decimal | None = None
    volume_high_ml: Decimal | None = None
    longest_diameter_mm: Decimal | None = None
    short_axis_mm: Decimal | None = None
    site: str = ""
    side: str = ""
    guidance: str = ""
    injectable: bool = True
    previously_injected: bool | None = None
    min_ml: Decimal | None = None
    max_ml: Decimal | None = None
    fixed_ml: tuple[tuple[str, Decimal], ...] = ()
    reason: str = ""
    priority: int | None = None
    from_diameters: bool = False
    ellipsoid_ml: Decimal | None = None
    diameters_mm: tuple[Decimal, ...] = ()
    where: str = field(default="", compare=False)

    @property
    def named(self) -> str:
        """The lesion in a refusal: with its file and line where it came from one."""
        return self.where or f"lesion {self.lesion_id}"


def ellipsoid_ml(d1_mm: Decimal, d2_mm: Decimal, d3_mm: Decimal) -> Decimal:
    """Volume of an ellipsoid with these three diameters, π/6·d1·d2·d3, to 0.001 mL."""
    with localcontext(EXACT):
        return ml(PI * d1_mm * d2_mm * d3_mm / 6 / 1000)


def read_lesion_table(path: Path) -> tuple[DoseLesion, ...]:
    """The lesions of a CSV or JSON file, in the file's order.

    CSV: a header with ``lesion_id`` and ``volume_ml`` or three diameters, and the columns of
    ``KNOWN_COLUMNS``. JSON: a document with the list ``lesions``. Parquet: the columns of a CSV
    (needs pyarrow); a binary number is taken as the shortest decimal that stands for it.

    Raises:
        InputRefused: the file cannot be read, or a cell of it; the message names row and column.
    """
    if path.suffix.lower() == ".parquet":
        return lesions_from_rows(read_parquet(path), str(path))
    text = read_text(path)
    if path.suffix.lower() == ".json":
        return lesions_from_json(text, str(path))
    if path.suffix.lower() == ".csv":
        return lesions_from_rows(read_csv(text, str(path)), str(path))
    raise InputRefused(
        "unknown_format",
        f"{path}: a table of lesions ends in .csv, .json or .parquet",
        "rename or convert it",
    )


def lesions_from_rows(
    rows: Sequence[tuple[int, Mapping[str, str]]], file: str
) -> tuple[DoseLesion, ...]:
    """The lesions of table rows (line number, cells by column).

    Raises:
        InputRefused: a column or cell is not possible, or an id stands twice.
    """
    if rows:
        refuse_columns(rows[0][1], file)
    lesions = tuple(_lesion(cells, f"{file}, line {line}") for line, cells in rows)
    refuse_twice(lesions, file)
    return lesions


def refuse_columns(columns: Iterable[str], file: str) -> None:
    """Refuse unknown columns: a misspelt limit would else be a limit that is not there.

    Raises:
        InputRefused: a column is unknown, or there is no ``lesion_id``.
    """
    names = list(columns)
    unknown = [
        name
        for name in names
        if name not in KNOWN_COLUMNS
        and name not in OTHER_COLUMNS
        and not (name.startswith(FIXED_PREFIX) and name != FIXED_PREFIX)
    ]
    if unknown:
        raise InputRefused(
            "unknown_column",
            f"{file}: unknown column '{unknown[0]}'",
            "known are " + ", ".join(KNOWN_COLUMNS) + ", fixed_ml:DRUG",
        )
    if "lesion_id" not in names:
        raise InputRefused("no_lesion_id", f"{file}: there is no column lesion_id")


def refuse_twice(lesions: Sequence[DoseLesion], file: str) -> None:
    """Refuse a lesion id that stands twice.

    Raises:
        InputRefused: one does.
    """
    seen: set[str] = set()
    for lesion in lesions:
        if lesion.lesion_id in seen:
            raise InputRefused(
                "duplicate_lesion_id",
                f"{file}: lesion id {lesion.lesion_id} stands twice",
                "give each lesion an id of its own",
            )
        seen.add(lesion.lesion_id)


def alike_ids(ids: Iterable[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of different ids that a person may take for one: by case, width, accents or spaces."""
    groups: dict[str, list[str]] = {}
    for one in sorted(set(ids)):
        seen_as = "".join(unicodedata.normalize("NFKC", one).casefold().split())
        groups.setdefault(seen_as, []).append(one)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def lesions_from_json(text: str, file: str) -> tuple[DoseLesion, ...]:
    """The lesions of a JSON document with the list ``lesions``.

    Raises:
        InputRefused: it is not such a document.
    """
    try:
        document = jsonio.loads(text, parse_float=jsonio.plain_number)
    except ValueError as error:
        raise InputRefused("not_json", f"{file}: is not JSON: {error}") from error
    entries = document.get("lesions") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputRefused("no_lesions_list", f"{file}: holds no list 'lesions'")
    lesions = []
    for number, entry in enumerate(entries, start=1):
        where = f"{file}, lesion {number}"
        refuse_columns(entry, where)
        cells = {key: cell_text(value, key, where) for key, value in entry.items() if _is_read(key)}
        lesions.append(_lesion(cells, where))
    refuse_twice(lesions, file)
    return tuple(lesions)


def _is_read(key: str) -> bool:
    return key in KNOWN_COLUMNS or key.startswith(FIXED_PREFIX)


def _lesion(cells: Mapping[str, str], where: str) -> DoseLesion:
    lesion_id = cells.get("lesion_id", "")
    if not lesion_id:
        raise InputRefused("no_lesion_id", f"{where}: the lesion has no id")
    if lesion_id.isprintable():
        where = f"{where} ({lesion_id})"
    numbers = {
        name: decimal_cell(cells, name, where, zero=name in ZERO_MAKES_SENSE)
        for name in NUMBER_COLUMNS
    }
    diameters = [decimal_cell(cells, name, where) for name in DIAMETER_COLUMNS]
    volume, from_diameters = _volume(numbers["volume_ml"], diameters, where)
    longest = numbers["longest_diameter_mm"]
    known = [diameter for diameter in diameters if diameter is not None]
    if longest is None and len(known) == len(DIAMETER_COLUMNS):
        longest = max(known)
    injectable = flag_cell(cells, "injectable", where)
    fixed = tuple(
        (name.removeprefix("fixed_ml").removeprefix(":"), amount)
        for name in cells
        if name == "fixed_ml" or name.startswith(FIXED_PREFIX)
        if (amount := decimal_cell(cells, name, where, zero=True)) is not None
    )
    guidance = cells.get("guidance", "").lower()
    if guidance and guidance not in GUIDANCES:
        raise InputRefused(
            "wrong_value",
            f"{where}: guidance: '{guidance}' is not known",
            "one of " + ", ".join(GUIDANCES),
        )
    lesion = DoseLesion(
        lesion_id=lesion_id,
        volume_ml=volume,
        volume_low_ml=_rounded(numbers["volume_low_ml"]),
        volume_high_ml=_rounded(numbers["volume_high_ml"]),
        longest_diameter_mm=longest,
        short_axis_mm=numbers["short_axis_mm"],
        site=cells.get("site", ""),
        side=cells.get("side", ""),
        guidance=guidance,
        injectable=True if injectable is None else injectable,
        previously_injected=flag_cell(cells, "previously_injected", where),
        min_ml=numbers["min_ml"],
        max_ml=numbers["max_ml"],
        fixed_ml=fixed,
        reason=cells.get("reason", ""),
        priority=_priority(cells.get("priority", ""), where),
        from_diameters=from_diameters,
        ellipsoid_ml=ellipsoid_ml(*known) if len(known) == len(DIAMETER_COLUMNS) else None,
        diameters_mm=tuple(known) if len(known) == len(DIAMETER_COLUMNS) else (),
        where=where,
    )
    check_lesion(lesion, where)
    return lesion


def check_lesion(lesion: DoseLesion, where: str) -> None:
    """Refuse what no lesion can be, whoever made it.

    Raises:
        InputRefused: a volume or bound is not possible, a reason is missing, or bounds contradict.
    """
    if not lesion.lesion_id.strip():
        raise InputRefused("no_lesion_id", f"{where}: the lesion has no id")
    if not lesion.lesion_id.isprintable():
        # It stands on a syringe's label: what cannot be seen there cannot be told apart there.
        raise InputRefused(
            "lesion_id_unprintable",
            f"{where}: the lesion's id {lesion.lesion_id!a} holds signs that cannot be seen",
            "use letters, digits and signs that print",
        )
    positive = ("volume_ml", "volume_high_ml", "longest_diameter_mm")
    for name in (*positive, "volume_low_ml", "min_ml", "max_ml"):
        value: Decimal | None = getattr(lesion, name)
        if value is None:
            continue
        if not value.is_finite() or value < 0:
            raise InputRefused("wrong_value", f"{where}: {name}: {value} is not possible")
        if value == 0 and name in positive:
            raise InputRefused(
                "zero",
                f"{where}: {name}: is zero",
                "measure the lesion again, or set injectable to no with a reason",
            )
    if lesion.volume_ml is not None and lesion.volume_ml > LARGEST_ML:
        raise InputRefused(
            "volume_out_of_range",
            f"{where}: volume_ml: {lesion.volume_ml} mL is more than any lesion's",
            "check the number and its unit: 1 mL is 1000 mm³",
        )
    low, high = lesion.volume_low_ml, lesion.volume_high_ml
    if low is not None and high is not None and low > high:
        raise InputRefused(
            "wrong_value", f"{where}: volume_low_ml {low} is above volume_high_ml {high}"
        )
    if not lesion.injectable and not lesion.reason:
        raise InputRefused(
            "reason_missing", f"{where}: is not to be injected and says no reason", "give a reason"
        )
    if lesion.fixed_ml and not lesion.reason:
        raise InputRefused(
            "reason_missing", f"{where}: fixed_ml is set and no reason is said", "give a reason"
        )
    if any(not amount.is_finite() or amount < 0 for _, amount in lesion.fixed_ml):
        raise InputRefused("wrong_value", f"{where}: fixed_ml is not possible")
    wanted = sum((amount for _, amount in lesion.fixed_ml), Decimal(0)) + (lesion.min_ml or 0)
    if not lesion.injectable and wanted:
        raise InputRefused(
            "fixed_not_injectable",
            f"{where}: is not to be injected and is to get at least {wanted} mL",
            "take one of the two out",
        )
    if lesion.max_ml is not None and lesion.min_ml is not None and lesion.min_ml > lesion.max_ml:
        raise InputRefused(
            "min_above_max",
            f"{where}: its minimum of {lesion.min_ml} mL is above its maximum of "
            f"{lesion.max_ml} mL",
        )


def _volume(
    volume: Decimal | None, diameters: Sequence[Decimal | None], where: str
) -> tuple[Decimal | None, bool]:
    known = [diameter for diameter in diameters if diameter is not None]
    if volume is not None:
        return ml(volume), False
    if not known:
        return None, False
    if len(known) < len(DIAMETER_COLUMNS):
        raise InputRefused(
            "diameter_missing",
            f"{where}: {len(known)} of three diameters",
            "give d1_mm, d2_mm and d3_mm, or volume_ml",
        )
    return ellipsoid_ml(*known), True


def _rounded(value: Decimal | None) -> Decimal | None:
    return None if value is None else ml(value)


def _priority(text: str, where: str) -> int | None:
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise InputRefused(
            "wrong_value",
            f"{where}: priority: '{text}' is not a whole number above zero",
            "1 comes first",
        )
    return int(text)
