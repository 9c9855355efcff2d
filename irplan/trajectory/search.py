"""The search of one lesion: every skin point with every place for a tip, the safe ones by cost."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.geometry import BoolArray, FloatArray, PointLps
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels, verdict
from irplan.trajectory.cost import pleura_weight
from irplan.trajectory.exact import local_mm, walk
from irplan.trajectory.margins import Margins, margins_for
from irplan.trajectory.picking import Picked, cheapest_first
from irplan.trajectory.position import HEAD
from irplan.trajectory.prefilter import in_sterile_field, rules_kept
from irplan.trajectory.rules import VESSEL_IN_LUNG_MM, Rules
from irplan.trajectory.scene import Crop, Scene, near_scan_edge, within_box
from irplan.trajectory.skin import SkinPoints
from irplan.trajectory.target import Target
from irplan.trajectory.threads import enough_threads

#: Candidates in one direction of merit tested exactly at a time.
AT_ONCE = 16
#: From as many exact tests, and candidates, on the compiled loops use all threads.
MANY_TESTS = 64
MANY_CANDIDATES = 10_000
#: Candidates sorted at first; the others only where these are not enough.
FIRST_SORTED = 100_000

#: The bits of a status that name a limit.
REASONS = {
    kernels.TOO_DEEP: "needle_length",
    kernels.TILTED: "max_tilt_deg",
    kernels.SKIN_ANGLE: "max_skin_angle_deg",
    kernels.TABLE: "table_mm",
    kernels.OUTSIDE: "air_gap_mm",
    kernels.APPROACH: "approach_mm",
    kernels.PLEURA: "max_pleural_crossings",
}


class Search:
    """All candidates of one lesion, evaluated once; safe ones come out best first."""

    def __init__(
        self, scene: Scene, target: Target, rules: Rules, deposits: int, beyond_mm: float = 0.0
    ) -> None:
        """
        Args:
            scene: what the searches share; it must reach as far as the needles.
            target: the lesion.
            rules: numbers of the search.
            deposits: deposits wanted on the track.
            beyond_mm: skin this much farther than any needle reaches is looked at too, to tell
                by how much the needles are too short.
        """
        self.scene = scene
        self.target = target
        self.rules = rules
        self.deposits = deposits
        anatomy = scene.anatomy
        self.margins: Margins = margins_for(anatomy, target.mask, rules.constraints, rules.guidance)
        near_end = near_scan_edge(
            target.points_lps_mm, anatomy.grid, rules.constraints.value("scan_edge_mm")
        )
        self.tips_near_end = int(np.count_nonzero(near_end))
        self.tips_lps_mm = target.points_lps_mm[~near_end]
        self.tip_depth_mm = target.point_depth_mm[~near_end]
        #: Depth of the deepest place; a tip nearer to the border costs more.
        self.deepest_mm = float(self.tip_depth_mm.max(initial=0.0))
        self.entries, self.outside_sterile = in_sterile_field(
            scene, rules.constraints, rules.guidance, self._entries_in_reach(beyond_mm)
        )
        self.skin = scene.skin.some(self.entries)

    def around(self, skin: SkinPoints, tips_lps_mm: FloatArray, tip_depth_mm: FloatArray) -> Search:
        """The same search over other skin points and places, such as those around one path.

        Args:
            skin: entries, within the scene's crop.
            tips_lps_mm, tip_depth_mm: places (m, 3) in the lesion, and how deep each lies.
        """
        other = copy.copy(self)
        for name in ("entries_local", "targets_local", "evaluated"):
            other.__dict__.pop(name, None)
        other.skin, other.tips_lps_mm, other.tip_depth_mm = skin, tips_lps_mm, tip_depth_mm
        other.__dict__["entries_local"] = np.ascontiguousarray(
            local_mm(skin.points_lps_mm, self.crop.grid)
        )
        return other

    def _entries_in_reach(self, beyond_mm: float) -> npt.NDArray[np.int64]:
        """Skin points from which a needle reaches the lesion's box."""
        if len(self.tips_lps_mm) == 0 or self.rules.lengths_mm.size == 0:
            return np.zeros(0, dtype=np.int64)
        reach = max(float(self.rules.lengths_mm[-1]) - self.rules.reserve_mm, 0.0) + beyond_mm
        points = self.scene.skin.points_lps_mm
        return np.flatnonzero(within_box(points, self.tips_lps_mm, reach))

    @property
    def crop(self) -> Crop:
        """The part of the scan that is looked at."""
        return self.scene.crop

    @property
    def candidates(self) -> int:
        """Number of straight paths looked at."""
        return len(self.skin) * len(self.tips_lps_mm)

    @cached_property
    def entries_local(self) -> FloatArray:
        """Skin points in the crop's frame, mm."""
        return np.ascontiguousarray(self.scene.entries_local[self.entries])

    @cached_property
    def targets_local(self) -> FloatArray:
        """Places for the tip in the crop's frame, mm."""
        return np.ascontiguousarray(local_mm(self.tips_lps_mm, self.crop.grid))

    @property
    def lesion_start(self) -> npt.NDArray[np.int64]:
        """First voxel (i, j, k) of the lesion's box in the crop."""
        return self.in_crop(self.target.mask.start)

    def in_crop(self, voxel: tuple[int, int, int]) -> npt.NDArray[np.int64]:
        """A voxel (i, j, k) of the CT, counted from the crop's first one."""
        return np.asarray(voxel, dtype=np.int64) - np.asarray(self.crop.start, dtype=np.int64)

    def evaluate(
        self, full: bool = False
    ) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Status bits and cost of every candidate, (skin points, places)."""
        rules, weights = self.rules, self.rules.constraints.weights
        axes = self.crop.grid.axes
        depth = self.tip_depth_mm
        field = self.scene.field_for(self.margins)
        centre = 1.0 - depth / max(self.deepest_mm, 1e-6)
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
                    for name in ("length", "clearance", "tilt", "skin_angle", "lung")
                ),
                pleura_weight(self),
                *(float(weights[name]) for name in ("liver", "spread")),
            ]
        )
        plumb = rules.position.plumb
        status, cost = kernels.evaluate(
            self.entries_local,
            np.ascontiguousarray(self.skin.inward @ axes),
            self.targets_local,
            float(weights["centre"]) * centre,
            field.slack,
            field.comfort,
            field.tissue,
            field.cell_mm,
            field.doubt_mm,
            self.crop.labels,
            self.crop.body,
            self.scene.away_from_body,
            self.margins.obstacle,
            self.margins.is_lung,
            np.asarray(self.crop.grid.spacing_mm),
            np.ascontiguousarray(plumb @ axes),
            np.ascontiguousarray(np.asarray(HEAD) @ axes),
            self._floor_height(plumb),
            rules.lengths_mm,
            numbers,
            self.target.inner,
            self.lesion_start,
            self.margins.lung_side.voxels,
            self.in_crop(self.margins.lung_side.start),
            VESSEL_IN_LUNG_MM,
            self.deposits,
            full,
        )
        return status, cost

    def _floor_height(self, plumb: FloatArray) -> FloatArray:
        """Height of the support along the plumb line, in the crop's frame, near every entry."""
        supports = self.scene.support.at(self.skin.points_lps_mm)
        shift = self.crop.grid.to_lps((-0.5, -0.5, -0.5)) @ plumb
        return np.asarray(supports - shift)

    @cached_property
    def evaluated(self) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """Status and cost of every candidate, computed once."""
        with enough_threads(self.candidates, MANY_CANDIDATES):
            return self.evaluate()

    def pool(
        self,
        size: int,
        cell_mm: float,
        tests: int,
        accepted: Callable[[int, int], bool],
        task: Task = SILENT,
    ) -> list[tuple[int, int, float]]:
        """(skin point, place, cost) of safe paths from different places of the skin, best first.

        One path is kept for every cube of skin: its cheapest that passes the exact test and
        ``accepted`` (skin point, place), which has the last word. Once one is found, at most
        ``tests`` more candidates are tested; where none is found every candidate is. Ties go to
        the lower skin point, then to the lower place.
        """
        status, cost = self.evaluated
        flat = np.flatnonzero((status.ravel() & ~np.uint16(kernels.DOUBT)) == 0)
        cell_of = cells_of(self.skin.points_lps_mm, cell_mm)
        picked = Picked(self, cell_of, tests, accepted)
        order = cheapest_first(cost.ravel(), flat, FIRST_SORTED)
        picked.take(order, cost.ravel(), size, task)
        if len(picked.found) < size and not picked.spent and len(order) < len(flat):
            rest = cheapest_first(cost.ravel(), flat, len(flat))[len(order) :]
            picked.take(rest, cost.ravel(), size, task)
        found = sorted(picked.found.values())[:size]
        places = cost.shape[1]
        return [(one // places, one % places, worth) for worth, one in found]

    def extremes(
        self, size: int, cell_mm: float, tests: int, accepted: Callable[[int, int], bool]
    ) -> list[tuple[int, int]]:
        """(skin point, place) of safe paths that are best in one respect, whatever the weights.

        The shortest, the least tilted, the squarest to the skin and the farthest from obstacles;
        for each at most ``size`` from different cubes of skin, of the first ``tests`` candidates
        in that order. For the last only every skin point's shortest candidate is looked at.
        """
        status, _ = self.evaluated
        flat = np.flatnonzero((status.ravel() & ~np.uint16(kernels.DOUBT)) == 0)
        if len(flat) == 0:
            return []
        places = status.shape[1]
        depth, tilt, askew, shortest = self.merits(flat)
        few = flat[shortest]
        near = np.zeros(len(flat))
        near[shortest] = -self._comfort(
            self.entries_local[few // places], self.targets_local[few % places]
        )
        cell_of = cells_of(self.skin.points_lps_mm, cell_mm)
        found: list[tuple[int, int]] = []
        every = np.arange(len(flat))
        for worth in (depth, tilt, askew, near):
            # Of equals the shorter.
            keys = worth.round(3) + 1e-7 * depth
            order = flat[cheapest_first(keys, every, tests)[:tests]]
            taken: set[int] = set()
            while len(order) and len(taken) < size:
                few, order = order[:AT_ONCE], order[AT_ONCE:]
                clear = self.exactly_clear(few // places, few % places)
                for candidate in few[clear]:
                    entry, place = int(candidate // places), int(candidate % places)
                    cell = int(cell_of[entry])
                    if len(taken) < size and cell not in taken and accepted(entry, place):
                        taken.add(cell)
                        found.append((entry, place))
                order = order[~np.isin(cell_of[order // places], list(taken))]
        return found

    def merits(
        self, flat: npt.NDArray[np.int64]
    ) -> tuple[FloatArray, FloatArray, FloatArray, npt.NDArray[np.int64]]:
        """Depth, tilt and skin angle of some candidates, rising: see :func:`.kernels.merits`."""
        local = self.crop.grid.axes
        depth, tilt, askew, shortest = kernels.merits(
            self.entries_local,
            np.ascontiguousarray(self.skin.inward @ local),
            self.targets_local,
            np.ascontiguousarray(np.asarray(HEAD) @ local),
            flat,
        )
        return depth, tilt, askew, shortest

    def _comfort(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """How far segments (n, 3) keep the wanted clearances, 0 at a margin to 1, coarsely."""
        field = self.scene.field_for(self.margins)
        least: FloatArray = kernels.least_comfort(
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
            field.slack,
            field.comfort,
            field.cell_mm,
            field.doubt_mm,
            self.crop.labels,
            self.margins.obstacle,
            np.asarray(self.crop.grid.spacing_mm),
        )
        return least

    def exactly_clear(
        self, entries: npt.NDArray[np.int64], places: npt.NDArray[np.int64]
    ) -> BoolArray:
        """Whether each path passes margins, body outline and pleura by the exact reference."""
        a, b = self.entries_local[entries], self.targets_local[places]
        with enough_threads(len(a), MANY_TESTS):
            clear = self.margins_kept(a, b)
            clear[clear] = self._walks_allowed(a[clear], b[clear])
            clear[clear] = rules_kept(self, a[clear], b[clear])
        return clear

    def margins_kept(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """Whether segments (n, 3) in the crop's frame keep every margin exactly."""
        field = self.scene.field_for(self.margins)
        clear: BoolArray = verdict.all_clear(
            self.crop.labels,
            np.asarray(self.crop.grid.spacing_mm),
            self.margins.margin_mm,
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
            field.slack,
            field.reach,
            field.near,
            field.cell_mm,
            field.factors,
            field.doubt_mm,
        )
        return clear

    def walk(self, a: FloatArray, b: FloatArray) -> tuple[FloatArray, float, int]:
        """Lengths in every label, length outside the body, pleural crossings of a segment."""
        lengths, outside, crossings = walk(
            self.crop.labels,
            self.crop.body,
            np.asarray(self.crop.grid.spacing_mm),
            a,
            b,
            len(self.margins.names),
            self.margins.is_lung,
            self.margins.lung_side.voxels,
            self.in_crop(self.margins.lung_side.start),
            VESSEL_IN_LUNG_MM,
        )
        return lengths, float(outside), int(crossings)

    def _walks_allowed(self, a: FloatArray, b: FloatArray) -> BoolArray:
        """Whether segments (n, 3) stay in the body and cross the pleura as seldom as they must."""
        outside, crossings = verdict.all_walks(
            self.crop.labels,
            self.crop.body,
            np.asarray(self.crop.grid.spacing_mm),
            np.ascontiguousarray(a),
            np.ascontiguousarray(b),
            len(self.margins.names),
            self.margins.is_lung,
            self.margins.lung_side.voxels,
            self.in_crop(self.margins.lung_side.start),
            VESSEL_IN_LUNG_MM,
        )
        allowed: BoolArray = (outside <= self.rules.bound("air_gap_mm", 1e9)) & (
            crossings <= self.rules.bound("max_pleural_crossings", 1e9)
        )
        return allowed

    def ends(self, entry: int, place: int) -> tuple[PointLps, PointLps]:
        """Entry and tip of a candidate, LPS mm."""
        x, y, z = (float(value) for value in self.skin.points_lps_mm[entry])
        u, v, w = (float(value) for value in self.tips_lps_mm[place])
        return (x, y, z), (u, v, w)

    def counts(self, status: npt.NDArray[np.uint16]) -> dict[str, int]:
        """How many candidates each limit ruled out, by a full evaluation's status."""
        found = {
            name: int(np.count_nonzero(status & np.uint16(bit))) for bit, name in REASONS.items()
        }
        return {name: count for name, count in found.items() if count}


def cells_of(points_lps_mm: FloatArray, cell_mm: float) -> npt.NDArray[np.int64]:
    """The number of the cube of edge ``cell_mm`` that each point (n, 3) lies in."""
    if len(points_lps_mm) == 0:
        return np.zeros(0, dtype=np.int64)
    cells = np.floor(points_lps_mm / cell_mm).astype(np.int64)
    cells -= cells.min(axis=0)
    _, columns, levels = cells.max(axis=0) + 1
    keys = (cells[:, 0] * columns + cells[:, 1]) * levels + cells[:, 2]
    _, numbers = np.unique(keys, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64)
