"""Making the cards of a plan from its lesions, doses and paths."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from irplan.anatomy import Anatomy
from irplan.anatomy.names import unknown_among
from irplan.body import TableTop, table_top
from irplan.dose import DoseLesion
from irplan.geometry import BoolArray, FloatArray, PointLps, unit
from irplan.lesions.lesion import Lesion
from irplan.plan.cards import Card, Gantry, NeedleCard, Pass, SuperficialCard, Surrounding
from irplan.plan.skin_frame import SkinFrame
from irplan.tasks import SILENT, Task
from irplan.trajectory import Constraints, NeedleShelf, PathPlan, PatientPosition
from irplan.trajectory.deposits import split_ml, wanted_deposits
from irplan.trajectory.needle import Needle
from irplan.trajectory.position import HEAD
from irplan.trajectory.rules import Rules
from irplan.trajectory.scene import Support
from irplan.trajectory.shelf import NeedleType
from irplan.trajectory.skin import skin_points
from irplan.trajectory.superficial import (
    DISTANCE_REACH_MM,
    SuperficialWay,
    structure_distances,
    superficial_way,
)
from irplan.volume import CtVolume

#: Gantries that tilt do so to about this angle, degrees [a customary setting]; many do not.
GANTRY_REACH_DEG = 30.0
#: Skin over a lesion is looked for this far from its middle, mm.
SKIN_REACH_MM = 120.0

#: Kinds of structures that a superficial card names: the rules that hold for them among the
#: constraints, and what the plan calls the members that nobody segmented.
_KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "large vessels",
        ("large_vessels", "heart"),
        (
            "heart",
            "great_vessels",
            "inferior_vena_cava",
            "neck_vessels",
            "axillary_vessels",
            "iliac_vessels",
            "femoral_vessels",
        ),
    ),
    ("airway", ("airway",), ("trachea",)),
    ("nerves", ("nerves", "spinal_canal"), ("nerves", "spinal_canal")),
)

#: A couch that is seen less even than this gives no height, mm [a customary setting].
COUCH_SPREAD_MM = 3.0

Doses = Mapping[str, tuple[tuple[str, Decimal], ...]]


def room_cards(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesions: Sequence[Lesion],
    dosed: Sequence[DoseLesion],
    doses: Doses,
    paths: PathPlan,
    shelf: NeedleShelf,
    constraints: Constraints,
    position: PatientPosition,
    guidance: Mapping[str, str],
    increment_ml: Decimal,
    task: Task = SILENT,
) -> tuple[Card, ...]:
    """The cards of every lesion with a dose that is not reached under CT, then of every CT needle.

    Args:
        dosed: what the tables say of each lesion (site, side, diameters).
        doses: lesion_id → ((drug, mL), …) still to be given.
        guidance: lesion_id → 'ct', 'ultrasound' or 'palpation'.
    """
    support = Support.of(body, anatomy.grid, position.plumb)
    frame = SkinFrame.of(body, anatomy, support, position.plumb)
    told = {one.lesion_id: one for one in dosed}
    cards: list[Card] = []
    for number, lesion in enumerate(lesions):
        task.step(number, len(lesions))
        dose = doses.get(lesion.lesion_id, ())
        table = told.get(lesion.lesion_id)
        way = guidance.get(lesion.lesion_id, "ct")
        if way == "ct" or not any(ml > 0 for _, ml in dose):
            continue
        rules = Rules(constraints, shelf, position, way)
        if lesion.mask is None:
            cards.append(_diameters_card(lesion, table, dose, rules, increment_ml))
        else:
            cards.append(
                _superficial_card(
                    volume, body, anatomy, lesion, table, dose, paths, rules, frame, task
                )
            )
    task.step(len(lesions), len(lesions))
    couch = _table_under(volume, body, position)
    cards += [
        _needle_card(one, frame, position, couch) for one in paths.needles if one.guidance == "ct"
    ]
    return tuple(cards)


def _table_under(volume: CtVolume, body: BoolArray, position: PatientPosition) -> TableTop | None:
    """The couch as the scan shows it; None where it is uneven or the patient will lie otherwise."""
    if PatientPosition.from_tag(volume.identity.patient_position) is not position:
        return None
    x, y, z = (float(part) for part in position.plumb)
    found = table_top(volume, body, (x, y, z))
    return found if found is not None and found.spread_mm <= COUCH_SPREAD_MM else None


def _middle(lesion: Lesion) -> PointLps:
    if lesion.centroid_lps_mm is not None:
        return lesion.centroid_lps_mm
    if lesion.mask is None:
        raise ValueError(f"{lesion.lesion_id} has no voxels")
    k, j, i = np.nonzero(lesion.mask.voxels)
    x, y, z = lesion.mask.box_grid.to_lps([i.mean(), j.mean(), k.mean()])
    return float(x), float(y), float(z)


def _superficial_card(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesion: Lesion,
    table: DoseLesion | None,
    dose: tuple[tuple[str, Decimal], ...],
    paths: PathPlan,
    rules: Rules,
    frame: SkinFrame,
    task: Task,
) -> SuperficialCard:
    needles = paths.of_lesion(lesion.lesion_id)
    way = superficial_way(volume, body, anatomy, lesion, rules, frame.support, task)
    middle = _middle(lesion)
    over, middle_depth = _skin_over(body, anatomy, middle)
    entry = needles[0].entry_lps_mm if needles else None
    if entry is None and way.nearest is not None:
        entry = way.nearest.measure.entry_lps_mm
    return SuperficialCard(
        lesion_id=lesion.lesion_id,
        guidance=rules.guidance,
        name=lesion.name,
        site=(table.site if table else "") or lesion.site,
        # A side that was read off the CT is no second word on the one that the CT shows here.
        told_side=""
        if lesion.side_source == "proposed"
        else (table.side if table else "") or lesion.side,
        region=frame.region(middle, over),
        depth_mm=lesion.depth_below_skin_mm,
        middle_depth_mm=middle_depth,
        diameters_mm=(
            lesion.longest_diameter_mm,
            lesion.short_axis_mm,
            _head_to_feet_mm(lesion),
        ),
        axes=("longest in the axial slice", "square to it in the slice", "head to feet"),
        volume_ml=lesion.volume_ml,
        surroundings=_surroundings(anatomy, lesion, rules.constraints),
        technique=_technique(needles),
        passes=tuple(_pass(one, lesion.lesion_id) for one in needles),
        ml=dict(dose),
        needle=_needle_type(needles, way, rules.shelf),
        skin=None if entry is None else frame.place(entry),
        way=way,
    )


def _technique(needles: Sequence[Needle]) -> str:
    if not needles:
        return "no safe path"
    if any(one.guidance == "ct" for one in needles):
        return "no safe path with a short needle; the path shown is for CT"
    holes = {one.entry_id for one in needles}
    if len(needles) == 1:
        return "single pass"
    return "fan through one hole" if len(holes) == 1 else "several passes"


def _pass(needle: Needle, lesion_id: str) -> Pass:
    own = [one for one in needle.deposits if one.lesion_id == lesion_id]
    total: dict[str, Decimal] = {}
    for deposit in own:
        for drug, ml in deposit.ml:
            total[drug] = total.get(drug, Decimal(0)) + ml
    return Pass(needle.needle_id, needle.pass_number, needle.depth_mm, len(own), total)


def _needle_type(
    needles: Sequence[Needle], way: SuperficialWay, shelf: NeedleShelf
) -> NeedleType | None:
    """The needle of the plan, else that of the nearest safe skin."""
    if needles:
        return next((one for one in shelf.needles if one.name == needles[0].needle_type), None)
    return way.nearest.measure.needle if way.nearest else None


def _surroundings(
    anatomy: Anatomy, lesion: Lesion, constraints: Constraints
) -> tuple[Surrounding, ...]:
    """Vessels, airway and nerves around a lesion, as far as the anatomy knows them."""
    if lesion.mask is None:
        return ()
    missing = unknown_among(anatomy.names)
    of_kind = {
        kind: [name for name in anatomy.names if constraints.rule_for(name).name in rules]
        for kind, rules, _ in _KINDS
    }
    everything = [name for names in of_kind.values() for name in names]
    near = structure_distances(anatomy, lesion.mask, everything)
    return tuple(
        Surrounding(
            kind,
            next((one for one in near if one.name in of_kind[kind]), None),
            bool(of_kind[kind]),
            DISTANCE_REACH_MM,
            tuple(name for name in matters if name in missing),
        )
        for kind, _, matters in _KINDS
    )


def _skin_over(
    body: BoolArray, anatomy: Anatomy, middle: PointLps
) -> tuple[PointLps | None, float | None]:
    """The skin nearest to the middle of a lesion, and how far it is."""
    for reach in (40.0, SKIN_REACH_MM):
        near = skin_points(body, anatomy.grid, 2.0, np.asarray([middle]), reach)
        if len(near):
            gaps = np.linalg.norm(near.points_lps_mm - np.asarray(middle), axis=1)
            best = int(np.argmin(gaps))
            x, y, z = (float(value) for value in near.points_lps_mm[best])
            return (x, y, z), float(gaps[best])
    return None, None


def _head_to_feet_mm(lesion: Lesion) -> float | None:
    """How far the lesion's voxels reach along the body, mm."""
    if lesion.mask is None:
        return None
    k, j, i = np.nonzero(lesion.mask.voxels)
    grid = lesion.mask.box_grid
    heights = grid.to_lps(np.stack([i, j, k], axis=1))[:, 2]
    edge = float(np.abs(grid.axes[2]) @ np.asarray(grid.spacing_mm))
    return float(np.ptp(heights)) + edge


def _diameters_card(
    lesion: Lesion,
    table: DoseLesion | None,
    dose: tuple[tuple[str, Decimal], ...],
    rules: Rules,
    increment_ml: Decimal,
) -> SuperficialCard:
    """The card of a lesion that CT does not show: no path, but how its dose would be parted.

    The passes are reckoned for a needle that runs along the longest diameter, with the settings
    for spacing and border: a person at the lesion may do otherwise.
    """
    given = table.diameters_mm if table is not None else ()
    sizes = sorted((float(value) for value in given), reverse=True)
    longest = sizes[0] if sizes else lesion.longest_diameter_mm
    short = sizes[1] if sizes else lesion.short_axis_mm
    passes = _reckoned_passes(longest, dose, rules.constraints, increment_ml)
    reserve = rules.reserve_mm
    return SuperficialCard(
        lesion_id=lesion.lesion_id,
        guidance=rules.guidance,
        name=lesion.name,
        site=lesion.site,
        told_side=lesion.side,
        region=None,
        depth_mm=None,
        middle_depth_mm=None,
        diameters_mm=(longest, short, sizes[2] if sizes else None),
        axes=("longest", "second", "third"),
        volume_ml=lesion.volume_ml,
        surroundings=(),
        technique="" if not passes else "single pass" if len(passes) == 1 else "fan",
        passes=passes,
        ml=dict(dose),
        needle=None,
        skin=None,
        way=None,
        reaches=tuple(
            (needle, float(needle.length_mm) - reserve)
            for needle in rules.shelf.for_guidance(rules.guidance)
            if float(needle.length_mm) <= rules.longest_mm
        ),
    )


def _reckoned_passes(
    longest_mm: float | None,
    dose: tuple[tuple[str, Decimal], ...],
    constraints: Constraints,
    increment_ml: Decimal,
) -> tuple[Pass, ...]:
    """The dose in deposits along the longest diameter, parted over passes of equal weight."""
    if longest_mm is None:
        return ()
    wanted = wanted_deposits(dose, increment_ml, constraints)
    inside = max(longest_mm - 2.0 * constraints.value("border_mm"), 0.0)
    held = 1 + math.floor(inside / constraints.value("deposit_spacing_mm"))
    held = min(held, int(constraints.value("deposits_per_pass")))
    count = min(math.ceil(wanted / held), int(constraints.value("fan_passes")))
    deposits = min(wanted, count * held)
    parts = {drug: split_ml(ml, deposits, increment_ml) for drug, ml in dose}
    passes = []
    first = 0
    for number in range(count):
        size = deposits // count + (1 if number < deposits % count else 0)
        ml = {
            drug: sum(part[first : first + size], Decimal(0)) for drug, part in parts.items()
        }  # fmt: skip
        passes.append(Pass("", number + 1, None, size, ml))
        first += size
    return tuple(passes)


def _needle_card(
    needle: Needle, frame: SkinFrame, position: PatientPosition, couch: TableTop | None
) -> NeedleCard:
    entry = np.asarray(needle.entry_lps_mm)
    above = None if couch is None else couch.height_mm - float(entry @ position.plumb)
    return NeedleCard(
        needle,
        frame.place(needle.entry_lps_mm),
        above,
        float(needle.length_mm) - needle.depth_mm,
        gantry_for(np.asarray(needle.tip_lps_mm) - entry, position, frame.grid.axes[:, 2]),
        tuple(
            (
                one.deposit_id,
                one.order,
                float(np.linalg.norm(np.asarray(one.position_lps_mm) - entry)),
                dict(one.ml),
            )
            for one in sorted(needle.deposits, key=lambda one: one.order)
        ),
    )


def gantry_for(
    direction: FloatArray, position: PatientPosition, slice_normal: FloatArray
) -> Gantry:
    """The tilt about the table's cross axis that brings a needle into one slice.

    With d the needle's direction, z towards the head and p straight down, the tilted slice holds
    d where tan(tilt) = d·z / d·p. A needle that runs level (d·p near 0) and towards head or feet
    lies in no tilted slice within reach.

    Args:
        direction: from entry to tip, LPS.
        slice_normal: normal of the scan's slices, LPS.
    """
    d = unit(direction)
    down = position.plumb
    along, tilted = float(d @ down), float(d @ np.asarray(HEAD))
    across = float(d @ np.cross(np.asarray(HEAD), -down))
    scanned = math.degrees(math.acos(min(abs(float(slice_normal @ np.asarray(HEAD))), 1.0)))
    if abs(tilted) < 1e-3:
        return Gantry(
            0.0, "", math.degrees(math.atan2(across, along)), True, scanned
        )  # fmt: skip
    tilt = math.degrees(math.atan2(tilted, along))
    tilt = tilt - 180.0 if tilt > 90.0 else tilt + 180.0 if tilt < -90.0 else tilt
    # Where the lower half of the slice goes to the head the upper half goes to the feet.
    towards = "feet" if tilt > 0 else "head"
    in_slice = math.degrees(math.atan2(across, math.copysign(math.hypot(along, tilted), along)))
    return Gantry(abs(tilt), towards, in_slice, abs(tilt) <= GANTRY_REACH_DEG, scanned)


__all__ = ["gantry_for", "room_cards"]
