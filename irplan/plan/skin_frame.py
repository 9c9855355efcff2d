"""Where a point of the skin lies, in the words of the room: side, level, aspect, centimetres.

CT shows neither navel nor nipples for certain, so nothing here leans on them. What it does show
is used and named: the midline (by the spine where it is labelled, else by the middle of the
skin's outline), the ends of the sternum, the lungs, numbered vertebrae where an imported label
map has them, the scan's own slices, the support that the patient lies on. What cannot be told is
told as such. Points are LPS mm; the axial plane is the patient's, not the grid's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
from scipy import ndimage

from irplan import units
from irplan.anatomy import Anatomy
from irplan.documents import point_document
from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps
from irplan.trajectory.scene import Support

#: Raster on which an axial plane is looked at, mm.
PLANE_STEP_MM = 3.0
#: A point this near to the midline lies in it [a customary setting].
MIDLINE_MM = 10.0
#: The spine's middle is taken from its voxels within this distance along the body, mm.
SPINE_REACH_MM = 15.0
#: A numbered vertebra names the level of points this far above or below its middle, mm.
VERTEBRA_REACH_MM = 25.0
#: A structure that comes this near to the end of the scan may go on beyond it, mm.
SCAN_END_MM = 5.0
#: Half width of the sectors 'front', 'side', 'back' of the outline, degrees.
_SECTOR_DEG = 30.0
#: Landmarks are looked for on every n-th voxel.
_THIN = 2

_VERTEBRA = re.compile(r"vertebrae?_([CTLS])(\d+)$", re.IGNORECASE)
#: Organs that tell a level where neither vertebrae nor lungs do.
_ORGANS = ("heart", "liver", "spleen", "kidney", "urinary_bladder")
_REGIONS = {"C": "neck", "T": "chest", "L": "abdomen", "S": "pelvis"}


@dataclass(frozen=True)
class Extent:
    """From where to where a structure reaches along the body, LPS z in mm.

    Attributes:
        low_cut, high_cut: whether it reaches the end of the scan there and may go on.
    """

    low_mm: float
    high_mm: float
    low_cut: bool
    high_cut: bool


@dataclass(frozen=True)
class Region:
    """A place of the body in words.

    Attributes:
        side: 'left', 'right' or 'midline'.
        aspect: 'anterior', 'anterolateral', 'lateral', 'posterolateral' or 'posterior'.
        level: such as 'chest, upper third of the lungs'; '' where it cannot be told.
        untold: sentences on what cannot be told.
    """

    side: str
    aspect: str
    level: str
    untold: tuple[str, ...]

    @property
    def words(self) -> str:
        """All of it in one line."""
        place = " ".join(word for word in (self.side, self.aspect) if word)
        return "; ".join(part for part in (self.level, place) if part) or "not told"

    def document(self) -> dict[str, Any]:
        """The region as it stands in a card."""
        return {
            "words": self.words,
            "side": self.side,
            "aspect": self.aspect,
            "level": self.level,
            "untold": list(self.untold),
        }


@dataclass(frozen=True)
class Landmark:
    """A named height of the body and how far a point lies above it (negative: below), mm."""

    name: str
    above_mm: float

    def document(self) -> dict[str, Any]:
        """The landmark as it stands in a card."""
        return {"name": self.name, "above_mm": units.mm(self.above_mm)}


@dataclass(frozen=True)
class SkinPlace:
    """A point of the skin against everything that can be found again in the room.

    Attributes:
        left_of_midline_mm: towards the patient's left; negative to the right.
        midline_by: 'spine' or 'skin outline'.
        behind_middle_mm: behind the middle of the outline from front to back; negative in front.
        slice_number: of the nearest slice, 1 is the first one stored.
        from_first_slice_mm: along the slices' normal.
        first_slice_at: 'feet' or 'head': the end of the patient at which slice 1 lies.
        above_support_mm: above the lowest skin nearby, against the plumb line.
    """

    point_lps_mm: PointLps
    left_of_midline_mm: float | None
    midline_by: str
    behind_middle_mm: float | None
    slice_number: int
    slices: int
    from_first_slice_mm: float
    first_slice_at: str
    above_support_mm: float | None
    landmarks: tuple[Landmark, ...] = ()
    untold: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """The place as it stands in a card; the scan's coordinate along the body is z."""
        return {
            "point_lps_mm": point_document(self.point_lps_mm),
            "scan_z_mm": units.position_mm(self.point_lps_mm[2]),
            "slice_number": self.slice_number,
            "slices": self.slices,
            "from_first_slice_mm": units.mm(self.from_first_slice_mm),
            "first_slice_at": self.first_slice_at,
            "left_of_midline_mm": _mm(self.left_of_midline_mm),
            "midline_by": self.midline_by,
            "behind_middle_mm": _mm(self.behind_middle_mm),
            "above_support_mm": _mm(self.above_support_mm),
            "landmarks": [one.document() for one in self.landmarks],
            "untold": list(self.untold),
        }


def _mm(value: float | None) -> Decimal | None:
    return None if value is None else units.mm(value)


@dataclass(frozen=True)
class _Outline:
    """The part of the outline that a point belongs to, in one axial plane, LPS mm."""

    left: float
    right: float
    front: float
    back: float
    main: bool

    @property
    def middle_x(self) -> float:
        return 0.5 * (self.left + self.right)

    @property
    def middle_y(self) -> float:
        return 0.5 * (self.front + self.back)


@dataclass(frozen=True)
class SkinFrame:
    """The landmarks of one scan.

    Attributes:
        body: bool (z, y, x) on ``grid``.
        support: what the patient rests on; plumb: unit vector straight down, LPS.
        extents: of the structures that levels are told by.
        spine_lps_mm: (n, 3) points of the labelled spine, thinned; empty where there is none.
        vertebrae: (name, z of its middle) of numbered vertebrae.
    """

    body: BoolArray
    grid: GridGeometry
    support: Support
    plumb: FloatArray
    extents: dict[str, Extent] = field(default_factory=dict)
    spine_lps_mm: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))
    vertebrae: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(
        cls, body: BoolArray, anatomy: Anatomy, support: Support, plumb: FloatArray
    ) -> SkinFrame:
        """The landmarks of a body and what was labelled in it."""
        grid = anatomy.grid
        # Every second voxel: landmarks are told in centimetres, and a scan has a hundred million.
        thin = anatomy.labels[::_THIN, ::_THIN, ::_THIN]
        boxes = ndimage.find_objects(thin)
        extents: dict[str, Extent] = {}
        spine: list[FloatArray] = []
        vertebrae = []
        for one in anatomy.structures:
            box = boxes[one.label - 1] if one.label <= len(boxes) else None
            if box is None:
                continue
            kind = _landmark_kind(one.name)
            numbered = _VERTEBRA.match(one.name)
            if kind is None and numbered is None:
                continue
            extent = _extent(box, grid)
            if kind is not None:
                extents[kind] = extent if kind not in extents else _joined(extents[kind], extent)
            if kind == "spine":
                spine.append(_points(thin[box] == one.label, box, grid))
            if numbered:
                name = f"{numbered[1].upper()}{numbered[2]}"
                vertebrae.append((name, 0.5 * (extent.low_mm + extent.high_mm)))
        points = np.concatenate(spine) if spine else np.zeros((0, 3))
        return cls(body, grid, support, plumb, extents, points, tuple(vertebrae))

    def region(self, point_lps_mm: PointLps, skin_lps_mm: PointLps | None = None) -> Region:
        """Where a point lies; its aspect is that of the skin point over it where one is given."""
        untold = []
        outline = self._outline(point_lps_mm)
        middle_x = self.midline_x_mm(point_lps_mm)[0]
        shift = point_lps_mm[0] - middle_x if middle_x is not None else 0.0
        side = "midline" if abs(shift) <= MIDLINE_MM else "left" if shift > 0 else "right"
        if middle_x is None:
            untold.append("side: no outline of the skin at this height")
            side = ""
        level = self._level(point_lps_mm[2])
        if not level:
            untold.append(
                "level: neither numbered vertebrae, lungs nor another organ were found near it"
            )
        if outline is not None and not outline.main:
            untold.append(
                "which part: at this height the outline is in several pieces (an arm, a leg or "
                "the head beside the trunk)"
            )
        aspect = ""
        if outline is not None:
            at = skin_lps_mm or point_lps_mm
            across = abs(at[0] - outline.middle_x)
            back = at[1] - outline.middle_y
            # An outline is wider than deep: angles are taken on it scaled to a circle.
            wide = max(outline.left - outline.right, 1.0)
            deep = max(outline.back - outline.front, 1.0)
            angle = np.degrees(np.arctan2(across / wide, -back / deep))
            bounds = (_SECTOR_DEG, 90 - _SECTOR_DEG, 90 + _SECTOR_DEG, 180 - _SECTOR_DEG)
            names = ("anterior", "anterolateral", "lateral", "posterolateral", "posterior")
            aspect = names[int(np.searchsorted(bounds, angle))]
        return Region(side, aspect, level, tuple(untold))

    def place(self, point_lps_mm: PointLps) -> SkinPlace:
        """A point of the skin against midline, slices, support and landmarks."""
        outline = self._outline(point_lps_mm)
        middle_x, by = self.midline_x_mm(point_lps_mm)
        index = self.grid.to_index(point_lps_mm)
        slices = self.grid.size[2]
        rest = float(self.support.at(np.asarray([point_lps_mm]))[0])
        untold = ["the table's own reading: the scan's slices tell z, not the couch"]
        if "sternum" not in self.extents:
            untold.append("sternum: not labelled in this scan")
        untold.append("navel, nipples: not told from CT")
        return SkinPlace(
            point_lps_mm,
            None if middle_x is None else point_lps_mm[0] - middle_x,
            by,
            None if outline is None else point_lps_mm[1] - outline.middle_y,
            int(np.clip(np.rint(index[2]), 0, slices - 1)) + 1,
            slices,
            float(index[2]) * self.grid.spacing_mm[2],
            "feet" if self.grid.axes[2, 2] > 0 else "head",
            rest - float(np.asarray(point_lps_mm) @ self.plumb) if np.isfinite(rest) else None,
            self._landmarks(point_lps_mm[2]),
            tuple(untold),
        )

    def midline_x_mm(self, point_lps_mm: PointLps) -> tuple[float | None, str]:
        """LPS x of the patient's midline at a height, and what it was taken from.

        By the labelled spine where it reaches that height, else the middle between the left and
        the right end of the largest piece of the outline there.
        """
        if len(self.spine_lps_mm):
            near = np.abs(self.spine_lps_mm[:, 2] - point_lps_mm[2]) <= SPINE_REACH_MM
            if np.count_nonzero(near) >= 10:
                x = self.spine_lps_mm[near, 0]
                return float(0.5 * (np.percentile(x, 5) + np.percentile(x, 95))), "spine"
        outline = self._outline(None, point_lps_mm[2])
        return (None, "") if outline is None else (outline.middle_x, "skin outline")

    def mid_y_mm(self, z_mm: float) -> float | None:
        """LPS y of the middle of the trunk's outline from front to back, at a height."""
        outline = self._outline(None, z_mm)
        return None if outline is None else outline.middle_y

    def _outline(self, point: PointLps | None, z_mm: float | None = None) -> _Outline | None:
        """The piece of the outline that holds a point, or the largest; ``None`` where empty."""
        z = point[2] if point is not None else float(z_mm or 0.0)
        corners = self.grid.corners_lps_mm()
        x = np.arange(corners[:, 0].min(), corners[:, 0].max() + PLANE_STEP_MM, PLANE_STEP_MM)
        y = np.arange(corners[:, 1].min(), corners[:, 1].max() + PLANE_STEP_MM, PLANE_STEP_MM)
        plane = np.stack(np.broadcast_arrays(x[None, :], y[:, None], z), axis=-1)
        index = np.rint(self.grid.to_index(plane)).astype(int)
        within = np.all((index >= 0) & (index < np.asarray(self.grid.size)), axis=-1)
        shown = np.zeros(within.shape, dtype=bool)
        i, j, k = index[within].T
        shown[within] = self.body[k, j, i]
        pieces, count = ndimage.label(shown)
        if count == 0:
            return None
        sizes = np.bincount(pieces.ravel())[1:]
        largest = int(np.argmax(sizes)) + 1
        chosen = largest
        if point is not None:
            rows, columns = np.nonzero(pieces)
            off = np.hypot(x[columns] - point[0], y[rows] - point[1])
            nearest = int(np.argmin(off))
            chosen = int(pieces[rows[nearest], columns[nearest]])
        rows, columns = np.nonzero(pieces == chosen)
        half = PLANE_STEP_MM / 2.0
        return _Outline(
            float(x[columns.max()] + half),
            float(x[columns.min()] - half),
            float(y[rows.min()] - half),
            float(y[rows.max()] + half),
            chosen == largest,
        )

    def _level(self, z_mm: float) -> str:
        """The level in words, '' where nothing tells it."""
        if self.vertebrae:
            name, middle = min(self.vertebrae, key=lambda one: (abs(one[1] - z_mm), one[0]))
            if abs(middle - z_mm) <= VERTEBRA_REACH_MM:
                return f"{_REGIONS[name[0]]}, level of {name}"
        lungs = self.extents.get("lungs")
        if lungs is None or not lungs.low_mm <= z_mm <= lungs.high_mm:
            return self._level_beside(z_mm, lungs)
        if lungs.low_cut or lungs.high_cut:
            return "chest, at the height of the lungs"
        share = (z_mm - lungs.low_mm) / max(lungs.high_mm - lungs.low_mm, 1e-6)
        third = "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"
        return f"chest, {third} third of the lungs"

    def _level_beside(self, z_mm: float, lungs: Extent | None) -> str:
        """The level of a place that no lung lies beside."""
        if lungs is not None and z_mm > lungs.high_mm and not lungs.high_cut:
            return f"neck or shoulder, {z_mm - lungs.high_mm:.0f} mm above the lungs"
        if lungs is not None and z_mm < lungs.low_mm and not lungs.low_cut:
            return f"abdomen or pelvis, {lungs.low_mm - z_mm:.0f} mm below the lungs"
        level = [
            name
            for name in _ORGANS
            if name in self.extents
            and self.extents[name].low_mm <= z_mm <= self.extents[name].high_mm
        ]
        return f"at the height of {', '.join(level)}".replace("_", " ") if level else ""

    def _landmarks(self, z_mm: float) -> tuple[Landmark, ...]:
        """Heights that can be felt or seen again; only ends that the scan shows whole."""
        found = []
        sternum, lungs, pelvis = (
            self.extents.get(name) for name in ("sternum", "lungs", "pelvis")
        )  # fmt: skip
        if sternum is not None and not sternum.high_cut:
            found.append(
                Landmark("sternal notch (upper end of the sternum)", z_mm - sternum.high_mm)
            )
        if sternum is not None and not sternum.low_cut:
            found.append(Landmark("lower end of the sternum", z_mm - sternum.low_mm))
        if pelvis is not None and not pelvis.high_cut:
            found.append(Landmark("iliac crest", z_mm - pelvis.high_mm))
        if not found and lungs is not None and not lungs.low_cut:
            found.append(Landmark("lowest lung (not felt; seen on the scout)", z_mm - lungs.low_mm))
        return tuple(found)


def _landmark_kind(name: str) -> str | None:
    low = name.lower()
    if low.startswith(("vertebra", "spinal_")):
        return "spine"
    if low.startswith("lung") and not low.startswith(
        ("lung_fissure", "lung_bulla", "lung_trachea")
    ):
        return "lungs"
    if low == "sternum":
        return "sternum"
    if low.startswith("hip_"):
        return "pelvis"
    return next((organ for organ in _ORGANS if low == organ or low.startswith(f"{organ}_")), None)


def _extent(box: tuple[slice, ...], grid: GridGeometry) -> Extent:
    """How far a box of thinned voxels reaches along the body, and whether the scan ends there."""
    ends = [(_THIN * side.start - 0.5, _THIN * side.stop - 0.5) for side in reversed(box)]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    heights = grid.to_lps(corners)[:, 2]
    last = np.asarray(grid.size) - 0.5
    whole = np.stack(
        np.meshgrid(*[(-0.5, float(end)) for end in last], indexing="ij"), axis=-1
    ).reshape(-1, 3)
    scan = grid.to_lps(whole)[:, 2]
    low, high = float(heights.min()), float(heights.max())
    return Extent(
        low, high, low <= scan.min() + SCAN_END_MM, high >= scan.max() - SCAN_END_MM
    )  # fmt: skip


def _joined(one: Extent, other: Extent) -> Extent:
    return Extent(
        min(one.low_mm, other.low_mm),
        max(one.high_mm, other.high_mm),
        one.low_cut or other.low_cut,
        one.high_cut or other.high_cut,
    )


def _points(mask: BoolArray, box: tuple[slice, ...], grid: GridGeometry) -> FloatArray:
    """Points of a mask on the thinned voxels, LPS mm."""
    k, j, i = np.nonzero(mask)
    start = np.array([side.start for side in reversed(box)])
    points: FloatArray = grid.to_lps((np.stack([i, j, k], axis=1) + start) * _THIN)
    return points
