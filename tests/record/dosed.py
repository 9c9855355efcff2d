"""Plans with doses made by hand, lists of what was given, and the program called in-process."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from irplan.record import Store, add_plan

from .conftest import plan_bytes

HEAD = "drug,lesion_id,deposit_id,ml,time,lot,expiry,closed,reason"


def dosed_plan(
    visit: int = 1,
    planned: dict[str, dict[str, str]] | None = None,
    prescribed: dict[str, str] | None = None,
    excluded: tuple[str, ...] = (),
    before: dict[str, str] | None = None,
    mixture: dict[str, str] | None = None,
    mark: int = 0,
) -> bytes:
    """A plan.json; ``planned`` is drug -> lesion -> mL. Ipilimumab 5, nivolumab 10 mg/mL."""
    doses = planned or {"ipilimumab": {"L1": "3", "L2": "1.2"}}
    per_ml = {"ipilimumab": 5, "nivolumab": 10}

    def change(plan: dict[str, Any]) -> None:
        drugs = []
        for drug, lesions in doses.items():
            rows = []
            for lesion, ml in lesions.items():
                row: dict[str, Any] = {"lesion_id": lesion, "ml": _number(ml)}
                if before is not None:
                    row["given_ml"] = _number(before.get(lesion, "0"))
                rows.append(row)
            whole = (prescribed or {}).get(drug, str(sum(map(Decimal, lesions.values()))))
            drugs.append(
                {
                    "drug": drug,
                    "concentration_mg_per_ml": per_ml[drug],
                    "prescribed_ml": _number(whole),
                    "lesions": rows,
                }
            )
        names = sorted({name for lesions in doses.values() for name in lesions} | set(excluded))
        plan["lesions"] = [{"lesion_id": name} for name in names]
        plan["allocation"] = {
            "visit": visit,
            "mark": mark,
            "drugs": drugs,
            "excluded": [{"lesion_id": name, "code": "not_injectable"} for name in excluded],
        }
        if mixture:
            fractions = {drug: _number(part) for drug, part in mixture.items()}
            plan["allocation"]["mixture"] = {"fractions": fractions}
        plan["needles"] = [
            {"needle_id": "N1", "deposits": [{"deposit_id": "N1D1", "lesion_id": names[0]}]}
        ]
        plan["alternatives"] = [
            {"needle_id": "N1-A1", "deposits": [{"deposit_id": "N1-A1D1", "lesion_id": names[0]}]}
        ]

    return plan_bytes(change)


def _number(text: str) -> int | float:
    # Chosen by the tests so that repr gives the same digits back.
    number = float(text)
    return int(number) if number.is_integer() else number


def recorded(store: Store, document: bytes, subject: str = "S1", visit: int = 1) -> str:
    """The id of a plan that stands in the record."""
    return str(add_plan(store, document, subject, visit)["plan_id"])


def given_csv(folder: Path, *rows: str, name: str = "given.csv") -> Path:
    """GIVEN.csv with these rows."""
    path = folder / name
    path.write_text("\n".join((HEAD, *rows)) + "\n", encoding="utf-8")
    return path


def row(
    lesion: str = "L1",
    ml: str = "1.2",
    drug: str = "ipilimumab",
    deposit: str = "",
    time: str = "2026-01-05T10:15",
    lot: str = "A7",
    expiry: str = "2027-03",
    closed: str = "",
    reason: str = "",
) -> str:
    """One row of GIVEN.csv."""
    return ",".join((drug, lesion, deposit, ml, time, lot, expiry, closed, reason))


def codes(document: dict[str, Any]) -> list[str]:
    """The codes of a document's findings."""
    return [one["code"] for one in document["findings"]]


def run(capsys: Any, *words: object) -> tuple[int, dict[str, Any], str]:
    """Exit code, document and standard error of a call of the program with ``--json``."""
    from irplan.cli.main import main

    capsys.readouterr()
    code = main([*map(str, words), "--json"])
    told = capsys.readouterr()
    document = json.loads(told.out, parse_float=Decimal) if told.out else {}
    return code, document, told.err
