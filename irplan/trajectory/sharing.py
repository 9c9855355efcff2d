"""Paths shared between lesions: one track through two, or one skin hole with a second angle.

Both spare a puncture, which is weighed (``puncture``). A shared track is a safe path to the far
lesion whose axis also runs through the inner part of the near one, deposits by withdrawal. A
shared hole has one pass for each lesion, with the same needle, one after the other. Every pass
passes the same exact test as a path alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, PointLps
from irplan.trajectory import kernels
from irplan.trajectory.jobs import Found, Reached, SharedPlaces
from irplan.trajectory.passes import POOL_CELL_MM, keeps_limits, measure_candidate, safe_path
from irplan.trajectory.search import Search
from irplan.trajectory.skin import on_raster
from irplan.trajectory.target import Target

#: Options kept for a set of lesions, from different places of the skin.
KEPT = 4
#: Skin holes and tracks tested exactly for a set of lesions.
TESTED = 24
#: Lesions served through one hole, at most.
MOST = 3
#: A shared way is looked at where it costs at most this much more than the lesions apart: needles
#: that would meet may make the best single paths dearer.
SLACK = 1.0
#: Step at which a track is looked at inside a lesion, mm.
STEP_MM = 0.25

Way = tuple[tuple[int, ...], tuple[Found, ...]]


def shared_ways(reached: Sequence[Reached]) -> list[Way]:
    """Ways to serve two or three lesions through one skin hole: their numbers, and the passes.

    Every pass names the lesion it goes to by its place in the numbers; a pass with ``also``
    serves two.
    """
    return [*_tracks(reached), *_holes(reached)]


def puncture_cost(reached: Reached) -> float:
    """What a skin hole costs."""
    return float(reached.search.rules.constraints.weights["puncture"])


# ---- one hole, several angles -----------------------------------------------------------------


def _holes(reached: Sequence[Reached]) -> Iterator[Way]:
    cheapest = [_cheapest_by_skin_point(one.search) for one in reached]
    for size in range(2, MOST + 1):
        for group in combinations(range(len(reached)), size):
            if len({reached[number].search.rules.guidance for number in group}) > 1:
                continue
            total = np.sum([cheapest[number] for number in group], axis=0)
            apart = sum(reached[number].best.path.cost for number in group)
            spared = puncture_cost(reached[group[0]]) * (size - 1)
            open_points = np.flatnonzero(total <= apart + spared + SLACK)
            order = open_points[np.lexsort((open_points, total[open_points]))]
            yield from _tested_holes(reached, group, order)


def _cheapest_by_skin_point(search: Search) -> FloatArray:
    """The cost of the cheapest open candidate of every skin point of the scene; inf for none."""
    status, cost = search.evaluated
    costs = np.full(len(search.scene.skin), np.inf)
    if cost.size:
        open_cost = np.where((status & ~np.uint16(kernels.DOUBT)) == 0, cost, np.inf)
        costs[search.entries] = open_cost.min(axis=1)
    return costs


def _tested_holes(
    reached: Sequence[Reached], group: tuple[int, ...], order: npt.NDArray[np.int64]
) -> Iterator[Way]:
    points = reached[group[0]].search.scene.skin.points_lps_mm
    taken: set[tuple[int, ...]] = set()
    tested = 0
    for point in order:
        if len(taken) >= KEPT or tested >= TESTED:
            return
        cell = tuple(int(part) for part in np.floor(points[point] / POOL_CELL_MM))
        if cell in taken:
            continue
        tested += 1
        passes = _passes_from(reached, group, int(point))
        if passes is not None:
            taken.add(cell)
            yield group, passes


def _passes_from(
    reached: Sequence[Reached], group: tuple[int, ...], point: int
) -> tuple[Found, ...] | None:
    """A safe pass from one skin point to each lesion, with one needle; None where there is none."""
    found = []
    for number in group:
        one = _pass_from(reached[number].search, point)
        if one is None:
            return None
        found.append(one)
    needles = [one.path.measure.needle for one in found]
    longest = max((one for one in needles if one is not None), key=lambda one: one.length_mm)
    passes = []
    for one in found:
        if one.path.measure.needle == longest:
            passes.append(one)
            continue
        # The same needle serves all: the shorter passes are held against every limit with it.
        place = int(
            np.flatnonzero((one.search.tips_lps_mm == one.path.measure.tip_lps_mm).all(axis=1))[0]
        )
        measure = measure_candidate(one.search, one.path.entry, place, longest)
        if measure.needle != longest or not keeps_limits(one.search, measure):
            return None
        passes.append(Found(one.search, safe_path(one.search, measure, one.path.entry, place)))
    return tuple(passes)


def _pass_from(search: Search, point: int) -> Found | None:
    """The cheapest safe path from a skin point of the scene to a lesion."""
    entry = int(np.searchsorted(search.entries, point))
    if entry >= len(search.entries) or search.entries[entry] != point:
        return None
    status, cost = search.evaluated
    places = np.flatnonzero((status[entry] & ~np.uint16(kernels.DOUBT)) == 0)
    places = places[np.lexsort((places, cost[entry][places]))][:6]
    clear = search.exactly_clear(np.full(len(places), entry), places)
    for place in places[clear]:
        measure = measure_candidate(search, entry, int(place))
        if keeps_limits(search, measure):
            return Found(search, safe_path(search, measure, entry, int(place)))
    return None


# ---- one track, two lesions -------------------------------------------------------------------


def _tracks(reached: Sequence[Reached]) -> Iterator[Way]:
    for far, near in permutations(range(len(reached)), 2):
        if reached[far].search.rules.guidance != reached[near].search.rules.guidance:
            continue
        numbers = (min(far, near), max(far, near))
        kept: set[tuple[int, ...]] = set()
        tested = 0
        for entry, place in _through(reached[far].search, reached[near].job.target):
            if len(kept) >= KEPT or tested >= TESTED:
                break
            search = reached[far].search
            cell = tuple(
                int(part) for part in np.floor(search.skin.points_lps_mm[entry] / POOL_CELL_MM)
            )
            if cell in kept:
                continue
            tested += 1
            found = _track(reached, far, near, entry, place)
            if found is not None:
                kept.add(cell)
                yield numbers, (found,)


def _through(search: Search, near: Target) -> list[tuple[int, int]]:
    """Open candidates whose axis comes close to the middle of another lesion, cheapest first."""
    status, cost = search.evaluated
    if cost.size == 0:
        return []
    middle = near.points_lps_mm[0]
    radius = float(near.point_depth_mm[0])
    entries = search.skin.points_lps_mm
    # Seen from the far lesion, entry and near lesion lie in one direction.
    far = search.tips_lps_mm.mean(axis=0)
    spread = float(np.linalg.norm(search.tips_lps_mm - far, axis=1).max())
    towards, gap = middle - far, float(np.linalg.norm(middle - far))
    if gap <= 1e-6:
        return []
    rays = entries - far
    along = rays @ (towards / gap)
    off = np.linalg.norm(rays - along[:, None] * (towards / gap), axis=1)
    cone = (spread + radius) / max(gap, 1e-6)
    behind = np.flatnonzero((along > gap) & (off <= cone * along + spread + radius))
    e, t = np.nonzero((status[behind] & ~np.uint16(kernels.DOUBT)) == 0)
    e = behind[e]
    a, b = entries[e], search.tips_lps_mm[t]
    axis = b - a
    share = np.clip(
        ((middle - a) * axis).sum(axis=1) / np.maximum((axis * axis).sum(axis=1), 1e-9), 0.0, 1.0
    )
    miss = np.linalg.norm(a + share[:, None] * axis - middle, axis=1)
    hit = np.flatnonzero((miss <= radius) & (share < 1.0))
    order = hit[np.lexsort((t[hit], e[hit], cost[e[hit], t[hit]]))]
    return [(int(e[number]), int(t[number])) for number in order[: 40 * TESTED]]


def _track(reached: Sequence[Reached], far: int, near: int, entry: int, place: int) -> Found | None:
    """The pass to the far lesion with the places of the near one on it, or None."""
    search, other = reached[far].search, reached[near]
    shared = _places_within(search, entry, place, other)
    if shared is None or not search.exactly_clear(np.array([entry]), np.array([place]))[0]:
        return None
    measure = measure_candidate(search, entry, place)
    if not keeps_limits(search, measure):
        return None
    path = safe_path(search, measure, entry, place)
    spacing = search.rules.constraints.value("deposit_spacing_mm")
    gaps = np.linalg.norm(
        np.asarray(path.places)[:, None] - np.asarray(shared.places)[None], axis=2
    )
    apart = reached[far].best.path.cost + other.best.path.cost + puncture_cost(other)
    # A track that holds fewer deposits of either lesion than its own path is not worth a puncture.
    if gaps.min() < spacing or len(path.places) < len(reached[far].best.path.places):
        return None
    if path.cost + shared.cost > apart + SLACK:
        return None
    return Found(search, path, ((near, shared),))


def on_held_track(owner: Reached, rider: Reached) -> SharedPlaces | None:
    """Places for the deposits of a lesion on the kept track of another one, or None.

    They keep the spacing from each other and from those of the lesion that the track goes to.
    """
    search, path = owner.best.search, owner.best.path
    tips = np.asarray(search.tips_lps_mm)
    place = int(np.flatnonzero((tips == path.measure.tip_lps_mm).all(axis=1))[0])
    shared = _places_within(search, path.entry, place, rider)
    if shared is None:
        return None
    held = [*path.places, *(spot for _, more in owner.best.also for spot in more.places)]
    gaps = np.linalg.norm(np.asarray(held)[:, None] - np.asarray(shared.places)[None], axis=2)
    spacing = search.rules.constraints.value("deposit_spacing_mm")
    return shared if gaps.min() >= spacing else None


def _places_within(search: Search, entry: int, place: int, other: Reached) -> SharedPlaces | None:
    """Places for the deposits of the near lesion on the axis, as many as its own path holds."""
    start, tip = (np.asarray(end) for end in search.ends(entry, place))
    depth = float(np.linalg.norm(tip - start))
    back = (start - tip) / depth
    distances = np.arange(0.0, depth, STEP_MM)
    inside, deep = other.job.target.inner_at(tip + distances[:, None] * back)
    if not inside.any():
        return None
    constraints = search.rules.constraints
    spacing = constraints.value("deposit_spacing_mm")
    wanted = len(other.best.path.places)
    free = distances[inside]
    if wanted == 1:
        chosen = [float(free[int(np.argmax(deep[inside]))])]
    else:
        chosen = [float(free[0])]
        span = float(free[-1] - free[0])
        for number in range(1, wanted):
            options = free[free >= chosen[-1] + spacing - 1e-9]
            if options.size == 0:
                return None
            wish = float(free[0]) + span * number / (wanted - 1)
            chosen.append(float(options[np.argmin(np.abs(options - wish))]))
    points = on_raster(tip + np.asarray(chosen)[:, None] * back)
    if not other.job.target.inner_at(points)[0].all():
        return None
    weights = constraints.weights
    deposits = other.best.path.deposits_wanted
    cost = float(weights["centre"]) * (
        1.0 - float(deep[inside].max()) / max(other.search.deepest_mm, 1e-6)
    ) + float(weights["spread"]) * (1.0 - len(chosen) / deposits)
    places: tuple[PointLps, ...] = tuple((float(x), float(y), float(z)) for x, y, z in points)
    return SharedPlaces(places, max(cost, 0.0))
