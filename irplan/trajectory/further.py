"""The constraints beyond clearances, length and angles at the skin, held against a measured path.

Ribs and spine, fissures, the angles to capsule and pleura, liver before a capsular lesion, the
bore, the sterile field, the distance kept from a lung that is not crossed. Where the anatomy does
not tell, the check is unknown: never kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from irplan.trajectory.check import ConstraintCheck
from irplan.trajectory.margins import Margins
from irplan.trajectory.robustness import robustness_mm
from irplan.trajectory.rules import Rules

if TYPE_CHECKING:
    from irplan.trajectory.measure import PathMeasure

#: An axial image as the needle is looked for in it, mm.
IMAGE_MM = 3.0


class Checklist:
    """Collects checks of one path; limits that do not hold for the way of working are left out."""

    def __init__(self, rules: Rules) -> None:
        """An empty list for some rules."""
        self.rules = rules
        self.checks: list[ConstraintCheck] = []

    def hold(
        self, name: str, value: float | None, at_most: bool, known: bool = True, suffix: str = ""
    ) -> None:
        """Hold a value against a limit.

        A value of None is kept where it is known (the limit does not concern the path), and
        unknown where it is not.
        """
        constraints = self.rules.constraints
        if not constraints.applies(name, self.rules.guidance):
            return
        limit = constraints.limits[name]
        bound = constraints.value(name)
        kept = value is None or (value <= bound if at_most else value >= bound)
        self.checks.append(
            ConstraintCheck(
                name + suffix,
                value if known else None,
                bound,
                at_most,
                kept and known,
                limit.unit,
                limit.text,
                limit.strength,
                known,
            )
        )


def further_checks(measure: PathMeasure, margins: Margins, rules: Rules) -> list[ConstraintCheck]:
    """The checks of a measured path, in a fixed order."""
    held = Checklist(rules)
    _ribs(held, measure)
    passage = measure.passage
    crosses_lung = any(measure.crosses_mm.get(name, 0.0) > 0.0 for name in margins.lung_names)
    fissures = "fissure" in margins.rules
    known = not crosses_lung or passage.lobes_known or fissures
    held.hold("max_fissure_crossings", float(passage.lobe_crossings), True, known)
    held.hold("min_capsule_angle_deg", passage.capsule_angle_deg, False)
    held.hold("min_pleura_angle_deg", passage.pleura_angle_deg, False)
    held.hold("parenchyma_mm", passage.parenchyma_mm if margins.capsular else None, False)
    held.hold("bore_mm", measure.bore_mm, True)
    if measure.outside_sterile_mm is not None:
        held.hold("sterile_field_mm", measure.outside_sterile_mm, True)
    held.hold("images_crossed", images_crossed(measure), True)
    held.hold("visible_percent", measure.visible_percent, False)
    held.hold("robustness_mm", robustness_mm(measure, margins, rules), False)
    held.checks.extend(_skimmed(measure, margins, rules))
    held.checks.extend(_unknown_structures(margins, rules))
    return held.checks


def images_crossed(measure: PathMeasure) -> float:
    """Axial images of 3 mm that the needle passes through between skin and tip."""
    return 1.0 + float(abs(measure.tip_lps_mm[2] - measure.entry_lps_mm[2]) // IMAGE_MM)


def _ribs(held: Checklist, measure: PathMeasure) -> None:
    """Over the rib, not under it, and away from the spine; every place between two ribs."""
    places = measure.ribs
    if not places:
        # Between no bones: nothing to keep. Without any bone known that is not known either.
        for name, at_most in _RIB_LIMITS:
            held.hold(name, None, at_most, measure.bones_known)
        return
    for number, place in enumerate(places, 1):
        suffix = f" ({number})" if len(places) > 1 else ""
        held.hold("intercostal_percent", 100.0 * place.share, True, place.known, suffix)
        held.hold("below_rib_mm", place.above_mm, False, place.known, suffix)
        spine = place.spine_mm
        known = place.known and spine is not None
        held.hold("spine_mm", spine, False, known, suffix)
        held.hold("spine_wanted_mm", spine, False, known, suffix)


_RIB_LIMITS = (
    ("intercostal_percent", True),
    ("below_rib_mm", False),
    ("spine_mm", False),
    ("spine_wanted_mm", False),
)


def _skimmed(measure: PathMeasure, margins: Margins, rules: Rules) -> list[ConstraintCheck]:
    """A lung is kept off, away from where the path crosses it or its lesion lies."""
    checks = []
    for label, distance in sorted(measure.skims_mm.items()):
        name = margins.names[label]
        margin = float(margins.skim_mm[label])
        checks.append(
            ConstraintCheck(
                f"clearance: {name}",
                distance if distance < float("inf") else None,
                margin,
                False,
                distance >= margin,
                "mm",
                f"distance from {name.replace('_', ' ')}, away from where the path crosses it",
            )
        )
    return checks


def _unknown_structures(margins: Margins, rules: Rules) -> list[ConstraintCheck]:
    checks = []
    for rule in rules.constraints.structures:
        if rule.name in margins.unknown:
            checks.append(
                ConstraintCheck(
                    f"clearance: {rule.name}",
                    None,
                    rule.margin(rules.guidance),
                    False,
                    False,
                    "mm",
                    f"{rule.name.replace('_', ' ')}: nobody segmented it",
                    known=False,
                )
            )
    return checks
