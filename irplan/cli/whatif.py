"""What-if for ``irplan allocate``: a lesion left out, one fixed by hand, other split rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from irplan.cli.output import say, tell_table
from irplan.errors import CallError
from irplan.units import parse_not_negative

if TYPE_CHECKING:
    from irplan.dose import Allocation, DoseLesion, DoseOrder, Protocol


def scenarios(
    lesions: Sequence[DoseLesion],
    protocol: Protocol,
    order: DoseOrder,
    leave_out: Sequence[str],
    fix: Sequence[str],
    compare: bool,
) -> list[dict[str, Any]]:
    """Each scenario that was asked for, as document data; the allocation itself is not changed.

    Raises:
        CallError: there is no such lesion, or a fixed amount is not LESION=ML.
        InputRefused: a scenario cannot be allocated.
    """
    from irplan.dose.whatif import compare_splits, fix_by_hand
    from irplan.dose.whatif import leave_out as allocate_without

    found = [
        _document(f"without {name}", allocate_without(lesions, protocol, order, name))
        for name in leave_out
    ]
    for text in fix:
        name, sign, amount = text.partition("=")
        if not sign:
            raise CallError(
                "not_a_pair", f"--fix: '{text}' is not LESION=ML", "as in --fix T01=1.5"
            )
        fixed = (("", parse_not_negative(amount, f"--fix {name}")),)
        changed = fix_by_hand(lesions, protocol, order, name, fixed, "fixed to compare")
        found.append(_document(f"{name} fixed at {amount} mL", changed))
    for one in compare_splits(lesions, protocol, order) if compare else ():
        scenario = f"split by {one.rule.value}"
        if one.allocation is None:
            found.append({"scenario": scenario, "drugs": [], "refused": one.refused})
        else:
            found.append(_document(scenario, one.allocation))
    return found


def tell_scenarios(found: Sequence[dict[str, Any]]) -> None:
    """The scenarios for a person: a row each, a column a lesion, in mL."""
    names = sorted(
        {dose["lesion_id"] for one in found for drug in one["drugs"] for dose in drug["lesions"]}
    )
    rows = []
    for one in found:
        if one["refused"]:
            say(f"{one['scenario']}: not possible: {one['refused']}")
        for drug in one["drugs"]:
            doses = {dose["lesion_id"]: dose["ml"] for dose in drug["lesions"]}
            given = [doses.get(name) for name in names]
            rows.append((one["scenario"], drug["drug"], *given, drug["residual_ml"]))
    if rows:
        tell_table(("what if", "drug", *names, "left over"), rows)


def _document(scenario: str, allocation: Allocation) -> dict[str, Any]:
    drugs = [
        {
            "drug": drug["drug"],
            "lesions": [
                {key: dose[key] for key in ("lesion_id", "ml", "mg")} for dose in drug["lesions"]
            ],
            "residual_ml": drug["residual_ml"],
            "residual_mg": drug["residual_mg"],
        }
        for drug in allocation.document()["drugs"]
    ]
    return {"scenario": scenario, "drugs": drugs, "refused": ""}
