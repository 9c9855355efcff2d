"""Cards for the room: what a person needs beside the patient, one page a lesion or a needle.

Three kinds. A *superficial* card leads a short needle by ultrasound or touch: side, region,
depth, diameters, distances, safe skin, passes. A *diameters* card is the same for a lesion that
CT does not show; it has no path. A *needle* card leads one pass under CT: where the entry lies on
the patient and against the table, the angles, the gantry, the depth to each deposit.

A card repeats the plan's numbers and adds where to find things; it decides nothing. Lengths in
mm, angles in degrees, volumes in mL (``Decimal``), positions LPS mm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from irplan import units
from irplan.documents import point_document
from irplan.plan.skin_frame import Region, SkinPlace
from irplan.trajectory.needle import Needle
from irplan.trajectory.shelf import NeedleType
from irplan.trajectory.superficial import StructureDistance, SuperficialWay, Track

Ml = Mapping[str, Decimal]


@dataclass(frozen=True)
class Surrounding:
    """One kind of structure around a lesion.

    Attributes:
        kind: 'large vessels', 'airway' or 'nerves'.
        nearest: the nearest of those that were found, ``None`` where none lies within reach.
        reach_mm: how far was looked.
        unknown: those of the kind that nobody segmented, by the plan's names.
    """

    kind: str
    nearest: StructureDistance | None
    known: bool
    reach_mm: float
    unknown: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """As it stands in a card; a distance is rounded down."""
        nearest = self.nearest
        return {
            "kind": self.kind,
            "known": self.known,
            "nearest": None if nearest is None else nearest.name,
            "distance_mm": None if nearest is None else units.mm_down(nearest.distance_mm),
            "looked_mm": units.mm(self.reach_mm),
            "unknown": list(self.unknown),
        }


@dataclass(frozen=True)
class Pass:
    """One pass of a needle with what is given on it.

    Attributes:
        needle_id: of the plan's needle; '' where the pass is only reckoned (no path).
        depth_mm: skin to tip; ``None`` where not known.
    """

    needle_id: str
    number: int
    depth_mm: float | None
    deposits: int
    ml: Ml

    def document(self) -> dict[str, Any]:
        """The pass as it stands in a card."""
        return {
            "needle_id": self.needle_id or None,
            "pass": self.number,
            "depth_mm": None if self.depth_mm is None else units.mm(self.depth_mm),
            "deposits": self.deposits,
            "ml": dict(self.ml),
        }


@dataclass(frozen=True)
class SuperficialCard:
    """The card of a lesion that is reached under ultrasound or by touch.

    Attributes:
        depth_mm, middle_depth_mm: skin to the nearest border, and to the middle.
        diameters_mm: longest axial, the one square to it, head to feet; ``None`` is unknown.
        axes: what the three are, in words.
        needle: of the first pass, or that of the shortest safe track where the plan has no pass.
        technique: 'single pass', 'fan' or 'no safe path'.
        skin: where the needle enters, else the nearest safe skin; ``None`` where there is none.
        way: safe skin and tracks; ``None`` for a lesion by diameters.
        reaches: for a lesion by diameters the shelf: (needle, deepest reach in mm).
    """

    lesion_id: str
    guidance: str
    name: str
    site: str
    told_side: str
    region: Region | None
    depth_mm: float | None
    middle_depth_mm: float | None
    diameters_mm: tuple[float | None, float | None, float | None]
    axes: tuple[str, str, str]
    volume_ml: Decimal | None
    surroundings: tuple[Surrounding, ...]
    technique: str
    passes: tuple[Pass, ...]
    ml: Ml
    needle: NeedleType | None
    skin: SkinPlace | None
    way: SuperficialWay | None
    reaches: tuple[tuple[NeedleType, float], ...] = ()

    @property
    def kind(self) -> str:
        """'superficial', or 'diameters' for a lesion that CT does not show."""
        return "diameters" if self.region is None else "superficial"

    def document(self) -> dict[str, Any]:
        """The card as it stands in ``cards`` of ``irplan.plan/1``."""
        return {
            "kind": self.kind,
            "lesion_id": self.lesion_id,
            "needle_id": self.passes[0].needle_id or None if self.passes else None,
            "guidance": self.guidance,
            "name": self.name,
            "site": self.site,
            "told_side": self.told_side,
            "region": None if self.region is None else self.region.document(),
            "depth_mm": _mm(self.depth_mm),
            "middle_depth_mm": _mm(self.middle_depth_mm),
            "diameters_mm": [_mm(value) for value in self.diameters_mm],
            "axes": list(self.axes),
            "volume_ml": self.volume_ml,
            "surroundings": [one.document() for one in self.surroundings],
            "technique": self.technique,
            "passes": [one.document() for one in self.passes],
            "ml": dict(self.ml),
            "needle": None if self.needle is None else _needle_type(self.needle),
            "reaches": [
                {**_needle_type(needle), "reach_mm": units.mm_down(reach)}
                for needle, reach in self.reaches
            ],
            "skin": None if self.skin is None else self.skin.document(),
            "nearest_safe_skin": _track(self.way.nearest) if self.way else None,
            "along": _track(self.way.along) if self.way else None,
            "across": _track(self.way.across) if self.way else None,
            "all_tested": self.way.exhausted if self.way else None,
        }


@dataclass(frozen=True)
class Gantry:
    """The gantry tilt that brings a needle into one slice.

    Attributes:
        tilt_deg: 0 to 90; ``None`` where the needle lies level, so no tilt changes its plane.
        top_towards: 'head' or 'feet': where the upper edge of the gantry goes; '' at 0.
        angle_in_slice_deg: of the needle against the plumb line in that slice.
        reached: whether gantries that tilt reach it.
        scanned_deg: tilt of the slices' normal against the patient's axis in the scan as read.
    """

    tilt_deg: float | None
    top_towards: str
    angle_in_slice_deg: float | None
    reached: bool
    scanned_deg: float

    def document(self) -> dict[str, Any]:
        """As it stands in a card."""
        return {
            "tilt_deg": None if self.tilt_deg is None else units.deg(self.tilt_deg),
            "top_towards": self.top_towards,
            "angle_in_slice_deg": (
                None if self.angle_in_slice_deg is None else units.deg(self.angle_in_slice_deg)
            ),
            "reached": self.reached,
            "scanned_deg": units.deg(self.scanned_deg),
        }


@dataclass(frozen=True)
class NeedleCard:
    """The card of one pass under CT.

    Attributes:
        needle: of the plan.
        skin: where the entry lies.
        above_table_mm: the entry above the top of the couch that the scan shows; ``None`` where
            none is seen or the patient will not lie as in the scan.
        outside_mm: length of the shaft that stays outside the skin.
        depths: (deposit id, order, skin to deposit in mm, mL), in the order given.
    """

    needle: Needle
    skin: SkinPlace
    above_table_mm: float | None
    outside_mm: float
    gantry: Gantry
    depths: tuple[tuple[str, int, float, Ml], ...]

    def document(self) -> dict[str, Any]:
        """The card as it stands in ``cards`` of ``irplan.plan/1``."""
        needle = self.needle
        return {
            "kind": "needle",
            "lesion_id": needle.lesion_ids[0] if needle.lesion_ids else None,
            "needle_id": needle.needle_id,
            "guidance": needle.guidance,
            "needle": {
                "name": needle.needle_type,
                "gauge": needle.gauge,
                "length_mm": units.plain(needle.length_mm),
            },
            "above_table_mm": _mm(self.above_table_mm),
            "outside_mm": units.mm_down(self.outside_mm),
            "skin": self.skin.document(),
            "in_plane_angle_deg": units.deg(needle.axial_angle_deg),
            "out_of_plane_angle_deg": units.deg(needle.craniocaudal_angle_deg),
            "gantry": self.gantry.document(),
            "depth_mm": units.mm(needle.depth_mm),
            "deposits": [
                {
                    "deposit_id": deposit_id,
                    "order": order,
                    "depth_mm": units.mm(depth),
                    "withdrawn_mm": units.mm(needle.depth_mm - depth),
                    "ml": dict(ml),
                }
                for deposit_id, order, depth, ml in self.depths
            ],
        }


Card = SuperficialCard | NeedleCard


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)


def _needle_type(needle: NeedleType) -> dict[str, Any]:
    return {
        "name": needle.name,
        "gauge": needle.gauge,
        "length_mm": units.plain(needle.length_mm),
    }


def _track(track: Track | None) -> dict[str, Any] | None:
    """A safe track as it stands in a card: where from, where to, how far, with which needle."""
    if track is None:
        return None
    measure = track.measure
    return {
        "entry_lps_mm": point_document(measure.entry_lps_mm),
        "tip_lps_mm": point_document(measure.tip_lps_mm),
        "depth_mm": units.mm(measure.depth_mm),
        "skin_to_border_mm": units.mm_down(track.skin_gap_mm),
        "long_axis_deg": None if track.long_axis_deg is None else units.deg(track.long_axis_deg),
        "skin_angle_deg": units.deg(measure.skin_angle_deg),
        "needle": None if measure.needle is None else _needle_type(measure.needle),
    }
