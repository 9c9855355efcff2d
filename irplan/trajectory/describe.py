"""Safe paths as needles of the plan, and what is to be known about them."""

from __future__ import annotations

from irplan.findings import Finding, Severity, declare
from irplan.trajectory.measure import hit_probability, measure_path
from irplan.trajectory.needle import Deposit, Needle
from irplan.trajectory.ranking import SafePath
from irplan.trajectory.search import Search

LUNG_CROSSED = declare(
    "lung_crossed",
    Severity.WARN,
    "trajectory",
    "needle {needle} crosses {mm} mm of lung: pneumothorax is to be expected as a risk",
)
VESSELS_NOT_KNOWN = declare(
    "deep_path_vessels_unknown",
    Severity.WARN,
    "trajectory",
    "needle {needle} goes {mm} mm deep and the large vessels are unknown: its clearance to them "
    "is not known",
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
    error = "tip_error_ct_mm" if rules.guidance == "ct" else "tip_error_ultrasound_mm"
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
        hit_probability=hit_probability(
            measure.tip_lps_mm, search.target.mask, rules.constraints.value(error)
        ),
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
    )


def path_findings(needle: Needle, search: Search) -> list[Finding]:
    """What is to be known about a chosen needle."""
    findings = []
    lung = sum(length for name, length in needle.crosses_mm.items() if name.startswith("lung"))
    if lung > 0:
        findings.append(LUNG_CROSSED(needle.needle_id, needle=needle.needle_id, mm=round(lung)))
    if needle.guidance == "ct" and "great_vessels" in search.scene.anatomy.unknown:
        findings.append(
            VESSELS_NOT_KNOWN(needle.needle_id, needle=needle.needle_id, mm=round(needle.depth_mm))
        )
    return findings
