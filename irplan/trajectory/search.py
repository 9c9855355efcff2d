"""The search of one lesion: every skin point with every place for a tip, the safe ones by cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.errors import InputRefused
from irplan.geometry import BoolArray, FloatArray, GridGeometry, PointLps
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.exact import local_mm, walk
from irplan.trajectory.field import Field, build_field
from irplan.trajectory.position import HEAD, PatientPosition
from irplan.trajectory.scene import Margins, margins_for
from irplan.trajectory.shelf import NeedleShelf
from irplan.trajectory.skin import SkinPoints, skin_points
from irplan.trajectory.target import Target

#: Candidates tested exactly at a time.
BATCH = 256
#: The support (table) is the lowest skin within this distance along the body, mm.
SUPPORT_MM = 60.0
#: A piece of tissue shorter than this between two pieces of lung is a vessel of the lung, mm.
VESSEL_IN_LUNG_MM = 2.0

_REASONS = {
    kernels.TOO_DEEP: "needle_length",
    kernels.TILTED: "max_tilt_deg",
    kernels.SKIN_ANGLE: "max_skin_angle_deg",
    kernels.TABLE: "table_mm",
    kernels.OUTSIDE: "air_gap_mm",
    kernels.APPROACH: "approach_mm",
    kernels.PLEURA: "max_pleural_crossings",
}


@dataclass(frozen=True)
class Rules:
    """The numbers of one search: constraints, shelf, position and way of working, resolved."""

    constraints: Constraints
    shelf: NeedleShelf
    position: PatientPosition
    guidance: str

    @property
    def reserve_mm(self) -> float:
        """Length that stays outside the skin."""
        deep = self.guidance == "ct"
        return self.constraints.value("reserve_mm" if deep else "reserve_superficial_mm")

    @property
    def longest_mm(self) -> float:
        """Longest needle that may be used."""
        return self.constraints.value("max_length_mm")

    @property
    def lengths_mm(self) -> FloatArray:
        """Lengths of the needles that may be used, rising."""
        usable = [
            float(needle.length_mm)
            for needle in self.shelf.for_guidance(self.guidance)
            if float(needle.length_mm) <= self.longest_mm
        ]
        return np.unique(np.asarray(usable, dtype=float))

    def bound(self, name: str, where_not: float) -> float:
        """A limit's value where it holds for the way of working, else ``where_not``."""
        applies = self.constraints.applies(name, self.guidance)
        return self.constraints.value(name) if applies else where_not


@dataclass(frozen=True)
class Crop:
    """The part of the scan that one search looks at.

    Attributes:
        grid: its own grid; local coordinates start at the outer corner of its first voxel.
        start: its first voxel (i, j, k) in the CT.
        labels, body: (z, y, x) views.
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


class Search:
    """All candidates of one lesion, evaluated once; safe ones come out best first."""

    def __init__(
        self,
        anatomy: Anatomy,
        body: BoolArray,
        target: Target,
        rules: Rules,
        dose_deposits: int,
        task: Task = SILENT,
    ) -> None:
        """
        Args:
            anatomy, body: on the CT grid.
            target: the lesion.
            rules: numbers of the search.
            dose_deposits: deposits wanted on the track.

        Raises:
            InputRefused: no needle of the shelf serves the way of working.
        """
        self.target = target
        self.rules = rules
        self.deposits = dose_deposits
        constraints = rules.constraints
        if rules.lengths_mm.size == 0:
            raise InputRefused(
                "no_needle",
                f"the shelf holds no needle for guidance '{rules.guidance}' up to "
                f"{rules.longest_mm:g} mm",
                "add one to the needle file",
            )
        self.margins: Margins = margins_for(anatomy, target.mask, constraints, rules.guidance)
        self.skin = self._skin(body, anatomy.grid)
        task.step()
        points = np.concatenate([target.points_lps_mm, self.skin.points_lps_mm])
        # Room for every margin that is looked at, and for a needle's end outside the skin.
        room = max(20.0, float(self.margins.margin_mm.max(initial=0.0)) + 2.0)
        self.crop = Crop.around(anatomy, body, points, room)
        self.body = body
        self.grid = anatomy.grid

    def _skin(self, body: BoolArray, grid: GridGeometry) -> SkinPoints:
        """Skin within reach of the longest needle and far enough from the ends of the scan."""
        rules = self.rules
        reach = float(rules.lengths_mm[-1]) - rules.reserve_mm
        skin = skin_points(
            body,
            grid,
            rules.constraints.value("skin_raster_mm"),
            self.target.points_lps_mm,
            max(reach, 0.0),
        )
        keep = ~near_scan_edge(skin.points_lps_mm, grid, rules.constraints.value("scan_edge_mm"))
        return SkinPoints(skin.points_lps_mm[keep], skin.inward[keep])

    @property
    def candidates(self) -> int:
        """Number of straight paths looked at."""
        return len(self.skin) * len(self.target.points_lps_mm)

    @cached_property
    def field(self) -> Field:
        """The coarse clearance field of the crop."""
        return build_field(
            self.crop.labels, self.crop.body, self.margins, self.crop.grid.spacing_zyx_mm
        )

    @cached_property
    def _hard(self) -> BoolArray:
        return np.ascontiguousarray(self.margins.obstacle[self.crop.labels])

    @cached_property
    def entries_local(self) -> FloatArray:
        """Skin points in the crop's frame, mm."""
        return np.ascontiguousarray(local_mm(self.skin.points_lps_mm, self.crop.grid))

    @cached_property
    def targets_local(self) -> FloatArray:
        """Places for the tip in the crop's frame, mm."""
        return np.ascontiguousarray(local_mm(self.target.points_lps_mm, self.crop.grid))

    def evaluate(
        self, full: bool = False
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Status bits and cost of every candidate, (skin points, places)."""
        rules, weights = self.rules, self.rules.constraints.weights
        axes = self.crop.grid.axes
        depth = self.target.point_depth_mm
        centre = 1.0 - depth / max(float(depth.max()), 1e-6)
        numbers = np.array(
            [
                rules.reserve_mm,
                math.sin(math.radians(rules.bound("max_tilt_deg", 90.0))),
                math.cos(math.radians(rules.bound("max_skin_angle_deg", 180.0))),
                rules.bound("table_mm", -1e9),
                rules.bound("air_gap_mm", 1e9),
                rules.bound("approach_mm", 0.0),
                rules.bound("max_pleural_crossings", 1e9),
                rules.constraints.value("deposit_spacing_mm"),
                *(
                    float(weights[name])
                    for name in (
                        "length",
                        "clearance",
                        "tilt",
                        "skin_angle",
                        "lung",
                        "pleura",
                        "liver",
                        "spread",
                    )
                ),
            ]
        )
        start = np.asarray(self.target.mask.start) - np.asarray(self.crop.start)
        plumb = rules.position.plumb
        status, cost = kernels.evaluate(
            self.entries_local,
            np.ascontiguousarray(self.skin.inward @ axes),
            self.targets_local,
            float(weights["centre"]) * centre,
            self.field.slack,
            self.field.comfort,
            self.field.tissue,
            self.field.cell_mm,
            self.field.doubt_mm,
            self._hard,
            np.asarray(self.crop.grid.spacing_mm),
            np.ascontiguousarray(plumb @ axes),
            np.ascontiguousarray(np.asarray(HEAD) @ axes),
            self._floor_height(plumb),
            rules.lengths_mm,
            numbers,
            self.target.inner,
            start.astype(np.int64),
            self.deposits,
            full,
        )
        return status, cost

    def _floor_height(self, plumb: FloatArray) -> FloatArray:
        """Height of the support along the plumb line, in the crop's frame, near every entry."""
        supports = support_heights(self.body, self.grid, plumb, self.skin.points_lps_mm)
        shift = self.crop.grid.to_lps((-0.5, -0.5, -0.5)) @ plumb
        return np.asarray(supports - shift)

    def pool(
        self,
        status: npt.NDArray[np.uint16],
        cost: npt.NDArray[np.float32],
        size: int,
        cell_mm: float,
        tests: int,
        task: Task = SILENT,
    ) -> list[tuple[int, int, float]]:
        """(skin point, place, cost) of safe paths from different places of the skin, best first.

        Candidates are tested exactly in the order of their cost; one path is kept for every cube
        of skin. Once one is found, at most ``tests`` more candidates are tested; where none is
        found every candidate is. Ties go to the lower skin point, then to the lower place.
        """
        flat = np.flatnonzero((status.ravel() & ~np.uint16(kernels.DOUBT)) == 0)
        order = flat[np.argsort(cost.ravel()[flat], kind="stable")]
        places = cost.shape[1]
        cells = np.floor(self.skin.points_lps_mm / cell_mm).astype(np.int64)
        _, cell_of = np.unique(cells, axis=0, return_inverse=True)
        taken = np.zeros(int(cell_of.max(initial=0)) + 1, dtype=bool)
        found: list[tuple[int, int, float]] = []
        tested = 0
        position = 0
        while position < len(order) and len(found) < size and (not found or tested < tests):
            task.step()
            window = order[position : position + 16 * BATCH]
            window = window[~taken[cell_of[window // places]]]
            if len(window) > BATCH:
                # Go on right behind the last candidate of this batch.
                window = window[:BATCH]
                position += int(np.flatnonzero(order[position:] == window[-1])[0]) + 1
            else:
                position += 16 * BATCH
            clear = self.exactly_clear(window // places, window % places)
            tested += len(window)
            for flat_index in window[clear]:
                entry, place = int(flat_index // places), int(flat_index % places)
                if not taken[cell_of[entry]] and len(found) < size:
                    taken[cell_of[entry]] = True
                    found.append((entry, place, float(cost[entry, place])))
        return found

    def exactly_clear(
        self, entries: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
    ) -> BoolArray:
        """Whether each path passes margins, body outline and pleura by the exact reference."""
        a, b = self.entries_local[entries], self.targets_local[places]
        clear = self.margins_kept(a, b)
        for number in np.flatnonzero(clear):
            clear[number] = self._walk_allows(a[number], b[number])
        return clear

    def margins_kept(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """Whether segments (n, 3) in the crop's frame keep every margin exactly."""
        far = float(max(self.margins.margin_mm.max(initial=0.0), 0.0))
        clear: BoolArray = kernels.all_clear(
            self.crop.labels,
            np.asarray(self.crop.grid.spacing_mm),
            self.margins.margin_mm,
            far,
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
        )
        return clear

    def walk(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, float, int]:
        """Lengths in every label, length outside the body, pleural crossings of a segment."""
        start = np.asarray(self.target.mask.start) - np.asarray(self.crop.start)
        lengths, outside, crossings = walk(
            self.crop.labels,
            self.crop.body,
            np.asarray(self.crop.grid.spacing_mm),
            a,
            b,
            len(self.margins.names),
            self.margins.is_lung,
            self.target.mask.voxels,
            start.astype(np.int64),
            VESSEL_IN_LUNG_MM,
        )
        return lengths, float(outside), int(crossings)

    def _walk_allows(self, a: FloatArray, b: FloatArray) -> bool:
        _, outside, crossings = self.walk(a, b)
        return outside <= self.rules.bound("air_gap_mm", 1e9) and crossings <= self.rules.bound(
            "max_pleural_crossings", 1e9
        )

    def ends(self, entry: int, place: int) -> tuple[PointLps, PointLps]:
        """Entry and tip of a candidate, LPS mm."""
        x, y, z = (float(value) for value in self.skin.points_lps_mm[entry])
        u, v, w = (float(value) for value in self.target.points_lps_mm[place])
        return (x, y, z), (u, v, w)

    def counts(self, status: npt.NDArray[np.uint16]) -> dict[str, int]:
        """How many candidates each limit ruled out, by a full evaluation's status."""
        found = {
            name: int(np.count_nonzero(status & np.uint16(bit))) for bit, name in _REASONS.items()
        }
        return {name: count for name, count in found.items() if count}


def near_scan_edge(points_lps_mm: FloatArray, grid: GridGeometry, edge_mm: float) -> BoolArray:
    """Whether points (n, 3) lie nearer than ``edge_mm`` to the outer faces of the scan."""
    if len(points_lps_mm) == 0:
        return np.zeros(0, dtype=bool)
    local = local_mm(points_lps_mm, grid)
    size = np.asarray(grid.size) * np.asarray(grid.spacing_mm)
    return np.asarray(np.any((local < edge_mm) | (local > size - edge_mm), axis=1))


def support_heights(
    body: BoolArray, grid: GridGeometry, plumb: FloatArray, points_lps_mm: FloatArray
) -> FloatArray:
    """Height along the plumb line of the lowest skin near each point (n, 3), LPS mm · p.

    Near means within 60 mm along the axis of the slices: there the body rests on the table.
    """
    # Lowest voxel of every slice: p is constant along lines of a slice, so its corners suffice.
    slices = body.shape[0]
    heights = np.full(slices, -np.inf)
    outline = [np.argmax(body, axis=1), body.shape[1] - 1 - np.argmax(body[:, ::-1], axis=1)]
    filled = body.any(axis=1)
    columns = np.broadcast_to(np.arange(body.shape[2]), filled.shape)
    levels = np.broadcast_to(np.arange(slices)[:, None], filled.shape)
    for rows in outline:
        index = np.stack([columns, rows, levels], axis=-1)[filled]
        if len(index):
            height = grid.to_lps(index) @ plumb
            np.maximum.at(heights, levels[filled], height)
    if len(points_lps_mm) == 0:
        return np.zeros(0)
    reach = max(1, round(SUPPORT_MM / grid.spacing_mm[2]))
    spread = np.array(
        [heights[max(0, k - reach) : k + reach + 1].max(initial=-np.inf) for k in range(slices)]
    )
    nearest = np.clip(np.rint(grid.to_index(points_lps_mm)[:, 2]).astype(int), 0, slices - 1)
    return np.asarray(spread[nearest])
