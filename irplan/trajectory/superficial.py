"""Lesions just under the skin: the nearest safe skin, and safe tracks along or across them.

A short needle under ultrasound or palpation runs through the middle of the lesion: along its
long axis where most of it is to be filled by one withdrawal, across it where the skin leaves no
other way. Every track given out has passed the same checks as any other path
(:func:`~irplan.trajectory.measure.check_path`); the order of the candidates alone is decided
here. Points are LPS mm.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree

from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray, FloatArray, PointLps, unit
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.tasks import SILENT, Task
from irplan.trajectory.exact import local_mm, nearest_by_label
from irplan.trajectory.margins import Margins, margins_for
from irplan.trajectory.measure import PathMeasure, allowed, check_path, measure_path
from irplan.trajectory.rules import Rules
from irplan.trajectory.scene import Support, near_scan_edge
from irplan.trajectory.skin import SkinPoints, on_raster, skin_points
from irplan.trajectory.surroundings import Surroundings
from irplan.trajectory.target import Target, find_target
from irplan.volume import CtVolume

#: A track runs along the long axis up to this angle, and across it from the other on, degrees
#: [a customary setting].
ALONG_DEG = 30.0
ACROSS_DEG = 60.0
#: Below this ratio of the longest to the middle extent a lesion has no long axis worth the name.
ROUND_RATIO = 1.2
#: Candidates tested exactly for each question, the best first. Where none of them is allowed the
#: question stays open, and the answer says so.
MOST_TESTS = 4000
#: Structures farther than this from a lesion are told as 'farther than', mm.
DISTANCE_REACH_MM = 60.0
_STEP_MM = 0.5
#: Places at least this share as deep inside the lesion as the deepest one lie deep.
_DEEP_SHARE = 0.8


@dataclass(frozen=True)
class Track:
    """A straight safe track through the middle of a lesion.

    Attributes:
        measure: everything measured of it, the needle from the shelf included.
        long_axis_deg: angle to the lesion's long axis, 0 to 90; ``None`` for a round lesion.
        skin_gap_mm: from its entry to the lesion's nearest border.
    """

    measure: PathMeasure
    long_axis_deg: float | None
    skin_gap_mm: float


@dataclass(frozen=True)
class SuperficialWay:
    """What the skin over a lesion allows.

    Attributes:
        nearest: the track from the safe skin that is nearest to the lesion's border.
        along, across: the shortest safe track along the long axis, and across it; for a round
            lesion ``along`` is the shortest of all and ``across`` is ``None``.
        long_axis: unit vector, LPS; ``None`` for a round lesion.
        tested: candidates held against every limit.
        exhausted: whether every candidate of an unanswered question was tested; where False,
            'none' means none among the best :data:`MOST_TESTS`.
    """

    nearest: Track | None
    along: Track | None
    across: Track | None
    long_axis: PointLps | None
    tested: int
    exhausted: bool


@dataclass(frozen=True)
class StructureDistance:
    """How far a structure lies from a lesion.

    Attributes:
        name: the structure.
        distance_mm: between the nearest faces of their voxels, 0 where they touch.
    """

    name: str
    distance_mm: float


def superficial_way(
    volume: CtVolume,
    body: BoolArray,
    anatomy: Anatomy,
    lesion: Lesion,
    rules: Rules,
    support: Support,
    task: Task = SILENT,
) -> SuperficialWay:
    """The nearest safe skin and the shortest safe tracks of one lesion.

    Args:
        rules: with the way of working, 'ultrasound' or 'palpation'.
        support: what the patient rests on.

    Raises:
        ValueError: the lesion has no voxels.
    """
    if lesion.mask is None:
        raise ValueError(f"{lesion.lesion_id} has no voxels")
    target = find_target(lesion, volume, rules.constraints)
    margins = margins_for(anatomy, lesion.mask, rules.constraints, rules.guidance)
    axis = long_axis(lesion.mask)
    candidates = _Candidates.of(body, anatomy, target, rules, axis)
    tests = _Tests(anatomy, body, target.mask, margins, rules, support, candidates, task)
    everywhere = np.ones(len(candidates.tips), dtype=bool)
    # Within a millimetre of each other skin points are equally near; the shorter way wins there.
    order = np.lexsort((candidates.depth_mm, np.floor(candidates.gap_mm)))
    nearest = tests.first(order, everywhere)
    by_depth = np.argsort(candidates.depth_mm, kind="stable")
    if axis is None:
        along, across = tests.first(by_depth, everywhere), None
    else:
        along = tests.first(by_depth, candidates.axis_deg <= ALONG_DEG)
        across = tests.first(by_depth, candidates.axis_deg >= ACROSS_DEG)
    return SuperficialWay(
        nearest, along, across, None if axis is None else _point(axis), tests.tested, tests.complete
    )


def long_axis(mask: LesionMask) -> FloatArray | None:
    """Unit vector of the lesion's longest extent, LPS; ``None`` where it is nearly round.

    The principal axis of the voxels' centres; the sign is chosen so that its largest part is
    positive. Extents are compared as the standard deviations along the principal axes.
    """
    k, j, i = np.nonzero(mask.voxels)
    points = mask.box_grid.to_lps(np.stack([i, j, k], axis=1))
    spread = np.cov(points.T) if len(points) > 1 else np.zeros((3, 3))
    # A voxel is no point: its own extent keeps a lesion of few voxels from a made-up axis.
    edges = np.asarray(mask.grid.spacing_mm)
    spread = spread + mask.grid.axes @ np.diag(edges**2 / 12.0) @ mask.grid.axes.T
    values, vectors = np.linalg.eigh(spread)
    if math.sqrt(values[2] / max(float(values[1]), 1e-9)) < ROUND_RATIO:
        return None
    axis = vectors[:, 2]
    return unit(axis * np.sign(axis[int(np.argmax(np.abs(axis)))]))


@dataclass(frozen=True)
class _Candidates:
    """Skin points whose line through the middle of the lesion a needle can follow.

    Attributes:
        skin: (n) entries with normals.
        tips: (n, 3) the far end of the lesion's inner part on that line.
        depth_mm: (n,) entry to tip. gap_mm: (n,) entry to the lesion's nearest border.
        axis_deg: (n,) angle to the long axis; 0 for a round lesion.
    """

    skin: SkinPoints
    tips: FloatArray
    depth_mm: FloatArray
    gap_mm: FloatArray
    axis_deg: FloatArray
    has_axis: bool

    @classmethod
    def of(
        cls,
        body: BoolArray,
        anatomy: Anatomy,
        target: Target,
        rules: Rules,
        axis: FloatArray | None,
    ) -> _Candidates:
        """All that length, skin angle and the ends of the scan allow."""
        constraints = rules.constraints
        middle = _middle(target)
        longest = float(rules.lengths_mm[-1]) if rules.lengths_mm.size else 0.0
        reach = longest - rules.reserve_mm
        skin = skin_points(
            body, anatomy.grid, constraints.value("skin_raster_mm"), middle[None], max(reach, 0.0)
        )
        edge = constraints.value("scan_edge_mm")
        skin = skin.some(~near_scan_edge(skin.points_lps_mm, anatomy.grid, edge))
        ways = middle - skin.points_lps_mm
        lengths = np.linalg.norm(ways, axis=1)
        ways = ways / np.maximum(lengths, 1e-9)[:, None]
        tips = on_raster(middle + _inner_reach(target, middle, ways)[:, None] * ways)
        depth = np.linalg.norm(tips - skin.points_lps_mm, axis=1)
        steep = math.cos(math.radians(rules.bound("max_skin_angle_deg", 180.0)))
        keep = (depth <= reach) & (lengths > 1e-6) & ((ways * skin.inward).sum(axis=1) >= steep)
        skin, tips, ways = skin.some(keep), tips[keep], ways[keep]
        angle = np.zeros(len(tips))
        if axis is not None:
            angle = np.degrees(np.arccos(np.clip(np.abs(ways @ axis), 0.0, 1.0)))
        gap = _gaps(skin.points_lps_mm, target.mask)
        return cls(skin, tips, depth[keep], gap, angle, axis is not None)


def _middle(target: Target) -> FloatArray:
    """The place for a deposit that is nearest to the middle of those lying deep, LPS mm."""
    depth = np.where(target.inner, target.depth_mm, 0.0)
    k, j, i = np.nonzero(depth >= _DEEP_SHARE * float(depth.max()))
    places = target.grid.to_lps(np.stack([i, j, k], axis=1))
    off = np.linalg.norm(places - places.mean(axis=0), axis=1)
    return np.asarray(on_raster(places[int(np.argmin(off))]))


def _inner_reach(target: Target, middle: FloatArray, ways: FloatArray) -> FloatArray:
    """How far from the middle each line (n, 3) goes on inside the part for deposits, mm."""
    size = float(np.linalg.norm(np.asarray(target.grid.size) * target.grid.spacing_mm))
    steps = np.arange(0.0, size + _STEP_MM, _STEP_MM)
    reach = np.zeros(len(ways))
    inside = np.ones(len(ways), dtype=bool)
    last = np.asarray(target.grid.size)
    for step in steps[1:]:
        if not inside.any():
            break
        index = np.rint(target.grid.to_index(middle + step * ways[inside])).astype(int)
        within = np.all((index >= 0) & (index < last), axis=1)
        here = np.zeros(len(index), dtype=bool)
        i, j, k = index[within].T
        here[within] = target.inner[k, j, i]
        places = np.flatnonzero(inside)
        reach[places[here]] = step
        inside[places[~here]] = False
    return reach


def _gaps(points_lps_mm: FloatArray, mask: LesionMask) -> FloatArray:
    """Distance of points (n, 3) to the face of the nearest voxel at the lesion's border, mm."""
    border = mask.voxels & ~ndimage.binary_erosion(mask.voxels)
    k, j, i = np.nonzero(border)
    shell = mask.box_grid.to_lps(np.stack([i, j, k], axis=1))
    nearest = shell[KDTree(shell).query(points_lps_mm)[1]]
    beside = np.abs((points_lps_mm - nearest) @ mask.grid.axes)
    return np.asarray(
        np.linalg.norm(np.maximum(0.0, beside - np.asarray(mask.grid.spacing_mm) / 2.0), axis=1)
    )


class _Tests:
    """Candidates held against every limit, each once."""

    def __init__(
        self,
        anatomy: Anatomy,
        body: BoolArray,
        mask: LesionMask,
        margins: Margins,
        rules: Rules,
        support: Support,
        candidates: _Candidates,
        task: Task,
    ) -> None:
        self._known: dict[int, PathMeasure | None] = {}
        self._anatomy, self._body, self._mask = anatomy, body, mask
        self._margins, self._rules, self._support = margins, rules, support
        self._surroundings = Surroundings(self._anatomy, self._body)
        self._candidates, self._task = candidates, task
        self.complete = True

    @property
    def tested(self) -> int:
        """Candidates tested so far."""
        return len(self._known)

    def first(self, order: npt.NDArray[np.int64], wanted: BoolArray) -> Track | None:
        """The first candidate of ``order`` among ``wanted`` that passes every limit."""
        fitting = order[wanted[order]]
        for number in fitting[:MOST_TESTS]:
            self._task.step()
            measure = self._measure(int(number))
            if measure is not None:
                candidates = self._candidates
                return Track(
                    measure,
                    float(candidates.axis_deg[number]) if candidates.has_axis else None,
                    float(candidates.gap_mm[number]),
                )
        self.complete = self.complete and len(fitting) <= MOST_TESTS
        return None

    def _clear(self, number: int) -> bool:
        """Whether a candidate keeps every margin; the dearest limit, so it is looked at first."""
        grid, margins = self._anatomy.grid, self._margins.margin_mm
        ends = np.stack(
            [self._candidates.skin.points_lps_mm[number], self._candidates.tips[number]]
        )
        a, b = local_mm(ends, grid)
        spacing = np.asarray(grid.spacing_mm)
        found = nearest_by_label(self._anatomy.labels, spacing, a, b, margins)
        return not bool(np.any((found < margins) | (found <= 0.0)))

    def _measure(self, number: int) -> PathMeasure | None:
        """What is measured of a candidate, or ``None`` where a limit forbids it."""
        if number not in self._known and not self._clear(number):
            self._known[number] = None
        if number not in self._known:
            candidates = self._candidates
            far = float(self._margins.wanted_mm.max(initial=0.0))
            measure = measure_path(
                self._anatomy,
                self._body,
                self._mask,
                self._margins,
                self._rules,
                _point(candidates.skin.points_lps_mm[number]),
                _point(candidates.tips[number]),
                self._support,
                candidates.skin.inward[number],
                far,
                surroundings=self._surroundings,
            )
            passed = allowed(check_path(measure, self._margins, self._rules))
            self._known[number] = measure if passed else None
        return self._known[number]


def structure_distances(
    anatomy: Anatomy, mask: LesionMask, names: Iterable[str], reach_mm: float = DISTANCE_REACH_MM
) -> tuple[StructureDistance, ...]:
    """The structures of ``names`` within ``reach_mm`` of a lesion, the nearest first.

    The distance between the nearest faces of their voxels, exact on the voxels of the CT.
    """
    labels = {one.label: one.name for one in anatomy.structures if one.name in set(names)}
    if not labels:
        return ()
    spacing = anatomy.grid.spacing_zyx_mm
    box, inner = _room(mask, anatomy.labels.shape, spacing, reach_mm)
    inside = np.zeros(tuple(side.stop - side.start for side in box), dtype=bool)
    inside[inner] = mask.voxels
    # Grown by one voxel in every direction, centre distances become those between faces.
    inside = ndimage.binary_dilation(inside, np.ones((3, 3, 3), dtype=bool))
    away = edt.edt(np.ascontiguousarray(~inside), anisotropy=spacing, black_border=False)
    around = anatomy.labels[box]
    near = away <= reach_mm
    values, found = away[near], around[near]
    told = []
    for label, name in labels.items():
        own = values[found == label]
        if own.size:
            told.append(StructureDistance(name, float(own.min())))
    return tuple(sorted(told, key=lambda one: (one.distance_mm, one.name)))


def _room(
    mask: LesionMask, shape: Sequence[int], spacing: Sequence[float], reach_mm: float
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The box of the scan around a lesion, and where the lesion's own box lies in it."""
    box, inner = [], []
    for side, step, size in zip(mask.slices_zyx, spacing, shape, strict=True):
        room = math.ceil(reach_mm / step) + 1
        low = max(0, side.start - room)
        box.append(slice(low, min(size, side.stop + room)))
        inner.append(slice(side.start - low, side.stop - low))
    return tuple(box), tuple(inner)


def _point(values: npt.ArrayLike) -> PointLps:
    x, y, z = (float(value) for value in np.asarray(values, dtype=float))
    return x, y, z
