"""Measuring one path exactly, and holding it against every hard limit.

This is the last word on a path: the search proposes, and only what passes :func:`check_path` is
given out. ``irplan why`` prints the same checks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray, FloatArray, PointLps, length_of, unit
from irplan.lesions.lesion import LesionMask
from irplan.trajectory.angles import axial_angle_deg, craniocaudal_angle_deg, skin_angle_deg
from irplan.trajectory.blocks import NOT_KNOWN
from irplan.trajectory.check import ConstraintCheck, allowed, unknown_names
from irplan.trajectory.exact import (
    APPROACH_START_MM,
    APPROACH_STEP_MM,
    free_behind,
    local_mm,
    nearest_in_blocks,
    walk,
)
from irplan.trajectory.further import Checklist, further_checks
from irplan.trajectory.margins import SKIM_LEAVE, Margins
from irplan.trajectory.passage import Passage, passage_of
from irplan.trajectory.probability import hit_probability
from irplan.trajectory.ribs import RibPassage
from irplan.trajectory.rules import VESSEL_IN_LUNG_MM, Rules
from irplan.trajectory.scene import Support
from irplan.trajectory.shelf import NeedleType
from irplan.trajectory.skin import inward_normals
from irplan.trajectory.surroundings import Surroundings
from irplan.trajectory.visibility import visible_percent

__all__ = [
    "ConstraintCheck",
    "PathMeasure",
    "allowed",
    "check_path",
    "hit_probability",
    "measure_path",
    "unknown_names",
]

#: Structures farther than this from the axis are not listed among the clearances, mm.
REPORT_MM = 60.0
#: A lung that is kept off is told of up to this much beyond what is asked, mm.
_SKIM_REPORT_MM = 5.0


@dataclass(frozen=True)
class PathMeasure:
    """Everything that is measured of a path from skin to tip.

    Attributes:
        clearance_mm: structure → mm to the nearest voxel face, within 60 mm.
        obstacle_mm: label → the same for obstacles only.
        crosses_mm: structure → mm inside it.
        outside_mm: length of the axis outside the body.
        hub_height_mm: height of the needle's hub above the lowest skin nearby.
        approach_mm: free length behind the skin along the needle, up to what is asked for.
        edge_mm: distance of entry and tip from the outer faces of the scan.
        passage: angles to capsule and pleura, lobes, liver before the lesion.
        ribs: the places between two ribs; empty where it passes between none.
        bones_known: whether any bone is known that is a rib or may be one.
        skims_mm: label → distance from a structure that may be crossed, of the part away from
            where it is crossed and from the lesion, where a distance from it is asked for.
        bore_mm: smallest bore that holds body, needle and hand.
        outside_sterile_mm: of the entry; None where nobody gave a sterile field.
        reach_mm: distance up to which obstacles were looked for.
        visible_percent: of the sight lines of ultrasound; None where it does not guide.
    """

    entry_lps_mm: PointLps
    tip_lps_mm: PointLps
    depth_mm: float
    axial_angle_deg: float
    craniocaudal_angle_deg: float
    skin_angle_deg: float
    clearance_mm: dict[str, float]
    obstacle_mm: dict[int, float]
    crosses_mm: dict[str, float]
    outside_mm: float
    pleural_crossings: int
    needle: NeedleType | None
    hub_height_mm: float
    approach_mm: float
    approach_wanted_mm: float
    edge_mm: float
    passage: Passage
    ribs: tuple[RibPassage, ...]
    bones_known: bool
    skims_mm: dict[int, float]
    bore_mm: float
    outside_sterile_mm: float | None
    reach_mm: float
    visible_percent: float | None
    #: Checks that were made of this measure already: they are asked for more than once.
    _checked: list[tuple[Margins, Rules, tuple[ConstraintCheck, ...]]] = field(
        init=False, default_factory=list, compare=False, repr=False
    )


def measure_path(
    anatomy: Anatomy,
    body: BoolArray,
    mask: LesionMask,
    margins: Margins,
    rules: Rules,
    entry_lps_mm: PointLps,
    tip_lps_mm: PointLps,
    support: Support | None = None,
    inward: FloatArray | None = None,
    report_mm: float = REPORT_MM,
    needle: NeedleType | None = None,
    surroundings: Surroundings | None = None,
) -> PathMeasure:
    """Measure the axis from entry to tip on the voxels of the CT.

    Args:
        support, inward: the patient's support and the inward normal of the skin at the entry,
            where they are known already.
        report_mm: structures farther than this are not looked for.
        needle: the needle where it is settled (the later passes of a fan); else the shortest of
            the shelf that reaches.
        surroundings: ribs, spine and outline, where they are made already (they take a while).

    Raises:
        ValueError: entry and tip are the same point.
    """
    entry, tip = np.asarray(entry_lps_mm, dtype=float), np.asarray(tip_lps_mm, dtype=float)
    direction = unit(tip - entry)
    depth = length_of(tip - entry)
    if inward is None:
        inward = inward_normals(body, anatomy.grid, entry[None])[0]
    if surroundings is None:
        surroundings = Surroundings(anatomy, body)
    far = max(
        report_mm,
        float(margins.margin_mm.max(initial=0.0)),
        float(margins.skim_mm.max(initial=0.0)),
    )
    labels, within = surroundings.labels, surroundings.in_body
    ends = np.ascontiguousarray(local_mm(np.array([entry, tip]), anatomy.grid))
    a, b = ends[0], ends[1]
    spacing = np.asarray(anatomy.grid.spacing_mm)
    count = len(margins.names)
    nearest = nearest_in_blocks(labels, spacing, a, b, np.full(count, far), surroundings.held)
    start = np.asarray(mask.start, dtype=np.int64)
    lengths, outside, crossings = walk(
        labels,
        within,
        spacing,
        a,
        b,
        count,
        margins.is_lung,
        margins.lung_side.voxels,
        np.asarray(margins.lung_side.start, dtype=np.int64),
        VESSEL_IN_LUNG_MM,
    )
    if needle is None or float(needle.length_mm) < depth + rules.reserve_mm:
        needle = rules.shelf.shortest(depth, rules.reserve_mm, rules.guidance, rules.longest_mm)
    length = float(needle.length_mm) if needle else depth + rules.reserve_mm
    hub = entry - direction * (length - depth)
    plumb = rules.position.plumb
    if support is None:
        support = Support.of(body, anatomy.grid, plumb)
    rest = float(support.at(entry[None])[0])
    wanted = length - depth + rules.bound("approach_mm", 0.0)
    named = margins.named
    gaps, inside = nearest.tolist(), lengths.tolist()
    passage = passage_of(labels, spacing, a, b, mask.voxels, start, margins)
    sterile = surroundings.outside_sterile_mm(entry[None], rules.constraints)
    hand = entry - direction * wanted
    return PathMeasure(
        entry_lps_mm=entry_lps_mm,
        tip_lps_mm=tip_lps_mm,
        depth_mm=depth,
        axial_angle_deg=axial_angle_deg(direction, rules.position),
        craniocaudal_angle_deg=craniocaudal_angle_deg(direction),
        skin_angle_deg=skin_angle_deg(direction, inward),
        clearance_mm={
            margins.names[label]: gaps[label] for label in named if math.isfinite(gaps[label])
        },
        obstacle_mm={label: gaps[label] for label in named if margins.margin_mm[label] >= 0},
        crosses_mm={margins.names[label]: inside[label] for label in named if inside[label] > 0},
        outside_mm=float(outside),
        pleural_crossings=int(crossings),
        needle=needle,
        hub_height_mm=rest - float(hub @ plumb),
        approach_mm=float(
            free_behind(
                within,
                spacing,
                a,
                (b - a) / depth,
                wanted,
                APPROACH_START_MM,
                APPROACH_STEP_MM,
                NOT_KNOWN,
            )
        ),
        approach_wanted_mm=wanted,
        edge_mm=float(np.minimum(ends, np.asarray(anatomy.grid.size) * spacing - ends).min()),
        passage=passage,
        ribs=surroundings.ribs.passages(entry_lps_mm, tip_lps_mm),
        bones_known=surroundings.ribs.known,
        skims_mm=_skims(surroundings, spacing, margins, passage, nearest, a, b),
        bore_mm=surroundings.outlines.bore_needed_mm(entry, hand),
        outside_sterile_mm=None if sterile is None else float(sterile[0]),
        reach_mm=far,
        visible_percent=(
            visible_percent(labels, anatomy.grid, margins, entry_lps_mm, tip_lps_mm)
            if rules.guidance != "ct" or rules.constraints.applies("visible_percent", "ct")
            else None
        ),
    )


def _skims(
    surroundings: Surroundings,
    spacing: FloatArray,
    margins: Margins,
    passage: Passage,
    nearest: FloatArray,
    a: FloatArray,
    b: FloatArray,
) -> dict[int, float]:
    """Distances from what may be crossed, away from where it is crossed or the lesion lies in it.

    By label; ``nearest`` of the whole path. A label that is looked for on no part of the path is
    left out.
    """
    depth = length_of(b - a)
    found: dict[int, float] = {}
    for label in margins.skimmed:
        margin = float(margins.skim_mm[label])
        until = depth
        leave = SKIM_LEAVE * margin
        if passage.lesion_at_mm is not None:
            until = passage.lesion_at_mm - (leave if margins.home[label] else 0.0)
        crossed = passage.first_mm.get(margins.crossed_with(label))
        if crossed is not None:
            until = min(until, crossed - leave)
        if until <= 0.0:
            continue
        if nearest[label] > margin + _SKIM_REPORT_MM:
            # A part of the path lies no nearer than the whole.
            found[label] = math.inf
            continue
        reach = np.full(len(margins.names), -1.0)
        reach[label] = margin + _SKIM_REPORT_MM
        end = a + until / depth * (b - a)
        near = nearest_in_blocks(surroundings.labels, spacing, a, end, reach, surroundings.held)
        found[label] = float(near[label])
    return found


def check_path(measure: PathMeasure, margins: Margins, rules: Rules) -> tuple[ConstraintCheck, ...]:
    """Every hard limit held against a measured path, limits first, then clearances, nearest first.

    Nothing is rounded: a clearance of 4.96 mm does not keep a margin of 5 mm.
    """
    for margins_before, rules_before, known in measure._checked:
        if margins_before is margins and rules_before is rules:
            return known
    checked = (
        *_limit_checks(measure, rules),
        *further_checks(measure, margins, rules),
        *_clearance_checks(measure, margins),
    )
    measure._checked.append((margins, rules, checked))
    return checked


def _limit_checks(measure: PathMeasure, rules: Rules) -> list[ConstraintCheck]:
    longest = float(rules.lengths_mm[-1]) if rules.lengths_mm.size else 0.0
    checks = [
        ConstraintCheck(
            "needle_length",
            measure.depth_mm + rules.reserve_mm,
            longest,
            True,
            measure.needle is not None,
            "mm",
            "depth and the reserve outside the skin against the longest needle",
        )
    ]

    held = Checklist(rules)
    held.hold("max_tilt_deg", abs(measure.craniocaudal_angle_deg), True)
    held.hold("max_skin_angle_deg", measure.skin_angle_deg, True)
    held.hold("max_pleural_crossings", float(measure.pleural_crossings), True)
    held.hold("table_mm", measure.hub_height_mm, False)
    held.hold("scan_edge_mm", measure.edge_mm, False)
    held.hold("air_gap_mm", measure.outside_mm, True)
    if rules.constraints.applies("approach_mm", rules.guidance):
        free = measure.approach_mm
        held.checks.append(
            ConstraintCheck(
                "approach_mm",
                free,
                measure.approach_wanted_mm,
                False,
                free >= measure.approach_wanted_mm,
                "mm",
                rules.constraints.limits["approach_mm"].text,
            )
        )
    return [*checks, *held.checks]


def _clearance_checks(measure: PathMeasure, margins: Margins) -> list[ConstraintCheck]:
    ordered = sorted(measure.obstacle_mm.items(), key=lambda item: (item[1], item[0]))
    checks = []
    for label, distance in ordered:
        margin = float(margins.margin_mm[label])
        checks.append(
            ConstraintCheck(
                f"clearance: {margins.names[label]}",
                distance if math.isfinite(distance) else None,
                margin,
                False,
                distance >= margin and distance > 0.0,
                "mm",
                f"distance from the axis to {margins.names[label].replace('_', ' ')}",
            )
        )
    return checks
