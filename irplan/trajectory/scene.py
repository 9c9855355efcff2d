"""What all searches of a visit share: skin, support, and the part of the scan that is looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.trajectory import skin_kernels
from irplan.trajectory.blocks import Away, away_from_body
from irplan.trajectory.exact import local_mm
from irplan.trajectory.field import Field, build_field
from irplan.trajectory.margins import Margins
from irplan.trajectory.skin import SkinPoints, SmoothBody, inward_normals, skin_places
from irplan.trajectory.surroundings import Surroundings

#: The support (table) is the lowest skin within this distance along the body, mm.
SUPPORT_MM = 60.0
#: Normals are asked for at skin this near to the scene's own points, when a path is moved, mm.
NEARBY_MM = 6.0


@dataclass(frozen=True)
class Crop:
    """A part of the scan.

    Attributes:
        grid: its own grid; local coordinates start at the outer corner of its first voxel.
        start: its first voxel (i, j, k) in the CT.
        labels, body: (z, y, x), contiguous.
    """

    grid: GridGeometry
    start: tuple[int, int, int]
    labels: npt.NDArray[np.uint8] | npt.NDArray[np.uint16]
    body: BoolArray

    @classmethod
    def around(
        cls, anatomy: Anatomy, body: BoolArray, points_lps_mm: FloatArray, room_mm: float
    ) -> Crop:
        """The voxels in the box of the points and ``room_mm`` more."""
        grid = anatomy.grid
        index = grid.to_index(points_lps_mm)
        room = room_mm / np.asarray(grid.spacing_mm)
        low = np.maximum(0, np.floor(index.min(axis=0) - room)).astype(int)
        high = np.minimum(grid.size, np.ceil(index.max(axis=0) + room).astype(int) + 1)
        box = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
        start = (int(low[0]), int(low[1]), int(low[2]))
        size = (int(high[0] - low[0]), int(high[1] - low[1]), int(high[2] - low[2]))
        return cls(
            grid.crop(start, size),
            start,
            np.ascontiguousarray(anatomy.labels[box]),  # type: ignore[arg-type]
            np.ascontiguousarray(body[box]),
        )


@dataclass(frozen=True)
class Support:
    """Where the patient rests: the lowest skin of every slice along the plumb line.

    Attributes:
        heights_mm: (slices,) LPS mm · p of the lowest skin within 60 mm along the body.
    """

    heights_mm: FloatArray
    grid: GridGeometry

    @classmethod
    def of(cls, body: BoolArray, grid: GridGeometry, plumb: FloatArray) -> Support:
        """The support of a body for a plumb line p (unit vector, LPS)."""
        # p·x over a slice: its value at the first voxel, and its rise along columns and rows.
        slices = body.shape[0]
        starts = grid.to_lps(np.stack([np.zeros(slices), np.zeros(slices), np.arange(slices)], 1))
        along = grid.to_lps([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) - grid.to_lps((0.0, 0.0, 0.0))
        heights = starts @ plumb + skin_kernels.lowest_of_slices(body, along @ plumb)
        reach = max(1, round(SUPPORT_MM / grid.spacing_mm[2]))
        spread = [
            heights[max(0, level - reach) : level + reach + 1].max(initial=-np.inf)
            for level in range(slices)
        ]
        return cls(np.asarray(spread), grid)

    def at(self, points_lps_mm: FloatArray) -> FloatArray:
        """Height of the support near points (n, 3), LPS mm · p."""
        level = np.rint(self.grid.to_index(points_lps_mm)[:, 2]).astype(int)
        return np.asarray(self.heights_mm[np.clip(level, 0, len(self.heights_mm) - 1)])


@dataclass(frozen=True)
class Scene:
    """The surroundings of all lesions of a visit.

    Attributes:
        anatomy, body: on the CT grid.
        crop: the part that any path can lie in.
        skin: skin points in it, none near the ends of the scan.
        support: what the patient rests on.
        smooth: the body as the normals of its skin are taken from, and a little more around.
        fields: clearance fields already made, by margins.
    """

    anatomy: Anatomy
    body: BoolArray
    crop: Crop
    skin: SkinPoints
    support: Support
    smooth: SmoothBody | None = None
    fields: dict[tuple[tuple[float, ...], tuple[float, ...]], Field] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        anatomy: Anatomy,
        body: BoolArray,
        targets_lps_mm: Sequence[FloatArray],
        reach_mm: float,
        room_mm: float,
        raster_mm: float,
        edge_mm: float,
        plumb: FloatArray,
    ) -> Scene:
        """The scene of some targets.

        Args:
            targets_lps_mm: places of each target, (n, 3).
            reach_mm: no skin point farther than this from a target matters.
            room_mm: least room around everything, so that every margin is seen.
            raster_mm: raster of the skin points.
            edge_mm: skin nearer than this to the outer faces of the scan is left out.
            plumb: unit vector straight down, LPS.
        """
        points = np.concatenate(list(targets_lps_mm))
        places = skin_places(body, anatomy.grid, raster_mm, points, reach_mm)
        keep = ~near_scan_edge(places, anatomy.grid, edge_mm)
        near = np.zeros(len(places), dtype=bool)
        for target in targets_lps_mm:
            near |= within_box(places, target, reach_mm)
        places = places[keep & near]
        smooth = None
        skin = SkinPoints(places, np.zeros((0, 3)))
        if len(places):
            smooth = SmoothBody.around(body, anatomy.grid, places, NEARBY_MM)
            skin = SkinPoints(places, smooth.inward_normals(places))
        crop = Crop.around(anatomy, body, np.concatenate([points, places]), room_mm)
        return cls(anatomy, body, crop, skin, Support.of(body, anatomy.grid, plumb), smooth)

    def inward_normals(self, points_lps_mm: FloatArray) -> FloatArray:
        """Unit inward normals (n, 3), LPS, at points on the skin, in the scene or outside it."""
        if self.smooth is not None and len(points_lps_mm) and self.smooth.covers(points_lps_mm):
            return self.smooth.inward_normals(points_lps_mm)
        return inward_normals(self.body, self.anatomy.grid, points_lps_mm)

    @cached_property
    def entries_local(self) -> FloatArray:
        """Skin points in the crop's frame, mm."""
        return np.ascontiguousarray(local_mm(self.skin.points_lps_mm, self.crop.grid))

    @cached_property
    def away_from_body(self) -> Away:
        """How far blocks of the crop lie from the body."""
        return away_from_body(self.crop.body, np.asarray(self.crop.grid.spacing_mm))

    @cached_property
    def surroundings(self) -> Surroundings:
        """Ribs, spine, outline and sterile field."""
        return Surroundings(self.anatomy, self.body)

    def field_for(self, margins: Margins) -> Field:
        """The clearance field of some margins; made once."""
        key = (tuple(margins.margin_mm), tuple(margins.wanted_mm))
        if key not in self.fields:
            crop = self.crop
            spacing = crop.grid.spacing_zyx_mm
            self.fields[key] = build_field(crop.labels, crop.body, margins, spacing)
        return self.fields[key]


def within_box(points_lps_mm: FloatArray, places: FloatArray, reach_mm: float) -> BoolArray:
    """Whether points (n, 3) lie within ``reach_mm`` of the box around the places (m, 3)."""
    low, high = places.min(axis=0), places.max(axis=0)
    # A hair more: the distance has the last word.
    room = reach_mm + 1e-6
    found = np.all((points_lps_mm >= low - room) & (points_lps_mm <= high + room), axis=1)
    some = points_lps_mm[found]
    gap = np.maximum(0.0, np.maximum(low - some, some - high))
    found[found] = np.linalg.norm(gap, axis=1) <= reach_mm
    return np.asarray(found)


def near_scan_edge(points_lps_mm: FloatArray, grid: GridGeometry, edge_mm: float) -> BoolArray:
    """Whether points (n, 3) lie nearer than ``edge_mm`` to the outer faces of the scan."""
    if len(points_lps_mm) == 0:
        return np.zeros(0, dtype=bool)
    local = local_mm(points_lps_mm, grid)
    size = np.asarray(grid.size) * np.asarray(grid.spacing_mm)
    return np.asarray(np.any((local < edge_mm) | (local > size - edge_mm), axis=1))
