"""Safe paths as needles of the plan, and what is to be known about them."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray
from irplan.trajectory.check import unknown_names
from irplan.trajectory.exact import local_mm
from irplan.trajectory.further import images_crossed
from irplan.trajectory.measure import PathMeasure, check_path, measure_path
from irplan.trajectory.needle import Deposit, Needle
from irplan.trajectory.probability import inside_probability, structures_met, total_sigma_mm
from irplan.trajectory.ranking import SafePath
from irplan.trajectory.robustness import jumps_kept, robustness_mm, tried_robustness_mm
from irplan.trajectory.search import Search

LUNG_CROSSED = declare(
    "lung_crossed",
    Severity.WARN,
    "trajectory",
    "needle {needle} crosses {mm} mm of lung: pneumothorax is to be expected as a risk",
)
PLEURA_CROSSED = declare(
    "pleura_crossed",
    Severity.WARN,
    "trajectory",
    "needle {needle} goes through the pleura into the lesion: pneumothorax is to be expected as a "
    "risk",
)
RULES_NOT_KNOWN = declare(
    "path_rules_not_known",
    Severity.WARN,
    "trajectory",
    "needle {needle}: the anatomy does not tell whether it keeps {rules}; look at it on the images",
)
VESSELS_NOT_KNOWN = declare(
    "deep_path_vessels_unknown",
    Severity.WARN,
    "trajectory",
    "needle {needle} goes {mm} mm deep and the large vessels are unknown: its clearance to them "
    "is not known",
)

#: A path this near to bowel that its gas shows runs among bowel, mm [a customary setting].
AMONG_BOWEL_MM = 40.0
BOWEL_NOT_KNOWN = declare(
    "path_bowel_unknown",
    Severity.WARN,
    "trajectory",
    "needle {needle} runs {mm} mm from bowel that its gas shows; bowel without gas, or filled with "
    "stool, is unknown: look along the needle for it",
)


def make_needle(
    search: Search,
    path: SafePath,
    deposits: tuple[Deposit, ...],
    needle_id: str,
    entry_id: str,
    pass_number: int,
    rank: int,
) -> Needle:
    """The needle of a safe path, measured as far as the document tells."""
    rules, scene = search.rules, search.scene
    measure = measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, rules,
        path.measure.entry_lps_mm, path.measure.tip_lps_mm, scene.support,
        search.skin.inward[path.entry], needle=path.measure.needle,
        surroundings=scene.surroundings,
    )  # fmt: skip
    needle_type = measure.needle
    if needle_type is None:
        raise ValueError("a path without a needle is not safe")
    lesion_id = search.target.lesion_id
    sigma = rules.constraints.tip_sigma_mm(rules.guidance)
    total = total_sigma_mm(rules, search.margins)
    a, b = local_mm(np.stack([measure.entry_lps_mm, measure.tip_lps_mm]), search.crop.grid)
    spacing = np.asarray(search.crop.grid.spacing_mm)
    checks = check_path(measure, search.margins, rules)
    return Needle(
        needle_id=needle_id,
        entry_id=entry_id,
        pass_number=pass_number,
        guidance=rules.guidance,
        needle_type=needle_type.name,
        gauge=needle_type.gauge,
        length_mm=needle_type.length_mm,
        entry_lps_mm=measure.entry_lps_mm,
        tip_lps_mm=measure.tip_lps_mm,
        depth_mm=measure.depth_mm,
        lesion_ids=(lesion_id,),
        axial_angle_deg=measure.axial_angle_deg,
        craniocaudal_angle_deg=measure.craniocaudal_angle_deg,
        skin_angle_deg=measure.skin_angle_deg,
        clearance_mm=measure.clearance_mm,
        crosses_mm=measure.crosses_mm,
        pleural_crossings=measure.pleural_crossings,
        hit_probability=inside_probability(measure.tip_lps_mm, search.target.mask, sigma),
        deposits=deposits,
        rank=rank,
        dominated=False,
        cost=path.cost,
        margin_mm={
            search.margins.names[label]: float(search.margins.margin_mm[label])
            for label in measure.obstacle_mm
            if search.margins.names[label] in measure.clearance_mm
        },
        criteria=path.criteria,
        miss_probability=1.0 - inside_probability(measure.tip_lps_mm, search.target.mask, total),
        hit_structure_probability=structures_met(
            search.crop.labels, spacing, a, b, search.margins, total
        ),
        robustness_mm=tried_robustness_mm(
            measure,
            robustness_mm(measure, search.margins, rules),
            lambda entry, tip: jumps_kept(search, entry, tip),
        ),
        measures=measures_of(search, measure, total),
        unknown_constraints=unknown_names(checks),
    )


def measures_of(search: Search, measure: PathMeasure, sigma_mm: float) -> dict[str, Decimal | None]:
    """What else is measured of a path, as printed; None: not known, or of no concern to it.

    intercostal_percent, below_rib_mm, spine_mm: the worst place between two ribs that are known.
    lung_mm, liver_mm: crossed. images_crossed: axial images of 3 mm. visible_percent: see
    :func:`.visibility.visible_percent`. tip_sigma_mm: of tip against target on each axis, the
    breath included. What is held against a lower limit is rounded down, else up.
    """
    names, passage = search.margins.names, measure.passage
    places = [place for place in measure.ribs if place.known]
    spines = [place.spine_mm for place in places if place.spine_mm is not None]

    def crossed(flags: BoolArray) -> float:
        return sum(
            measure.crosses_mm.get(name, 0.0)
            for name, flag in zip(names, flags, strict=True)
            if flag
        )

    down = {
        "below_rib_mm": min((place.above_mm for place in places), default=None),
        "spine_mm": min(spines, default=None),
        "capsule_angle_deg": passage.capsule_angle_deg,
        "pleura_angle_deg": passage.pleura_angle_deg,
        "parenchyma_mm": passage.parenchyma_mm if search.margins.capsular else None,
        "visible_percent": measure.visible_percent,
    }
    up = {
        "intercostal_percent": max((100.0 * place.share for place in places), default=None),
        "lung_mm": crossed(search.margins.is_lung),
        "liver_mm": crossed(search.margins.is_liver),
        "bore_mm": measure.bore_mm,
        "tip_sigma_mm": sigma_mm,
    }
    return {
        **{name: None if value is None else units.mm_down(value) for name, value in down.items()},
        **{name: None if value is None else units.mm_up(value) for name, value in up.items()},
        "fissure_crossings": Decimal(passage.lobe_crossings) if passage.lobes_known else None,
        "images_crossed": Decimal(int(images_crossed(measure))),
    }


def path_findings(needle: Needle, search: Search) -> list[Finding]:
    """What is to be known about a chosen needle."""
    findings = []
    lung = sum(length for name, length in needle.crosses_mm.items() if name.startswith("lung"))
    if lung > 0:
        findings.append(LUNG_CROSSED(needle.needle_id, needle=needle.needle_id, mm=round(lung)))
    elif needle.pleural_crossings > 0:
        findings.append(PLEURA_CROSSED(needle.needle_id, needle=needle.needle_id))
    # Structures that nobody segmented are told once for the whole plan, with the anatomy.
    rules = [name for name in needle.unknown_constraints if not name.startswith("clearance")]
    if rules:
        who = needle.needle_id
        findings.append(RULES_NOT_KNOWN(who, needle=who, rules=", ".join(rules)))
    if needle.guidance == "ct" and "great_vessels" in search.scene.anatomy.unknown:
        findings.append(
            VESSELS_NOT_KNOWN(needle.needle_id, needle=needle.needle_id, mm=round(needle.depth_mm))
        )
    bowel = [mm for name, mm in needle.clearance_mm.items() if name.startswith("bowel")]
    unknown = "bowel_without_gas" in search.scene.anatomy.unknown
    if unknown and bowel and min(bowel) <= AMONG_BOWEL_MM:
        findings.append(
            BOWEL_NOT_KNOWN(needle.needle_id, needle=needle.needle_id, mm=units.mm_down(min(bowel)))
        )
    return findings
