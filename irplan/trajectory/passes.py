"""The safe paths of one lesion: single passes from all over the skin, and fans from one hole."""

from __future__ import annotations

import numpy as np

from irplan.geometry import FloatArray, PointLps
from irplan.tasks import SILENT, Task
from irplan.trajectory import kernels
from irplan.trajectory.cost import path_cost
from irplan.trajectory.deposits import inner_points, places_on_track, spread_gain
from irplan.trajectory.extras import extra_cost
from irplan.trajectory.measure import PathMeasure, allowed, check_path, measure_path
from irplan.trajectory.ranking import SafePath, clearance_shortfall
from irplan.trajectory.search import Search
from irplan.trajectory.shelf import NeedleType

#: Different safe paths that the front is taken from, at most.
POOL = 48
#: Edge of the skin cells of which the pool holds one path each, mm.
POOL_CELL_MM = 12.0
#: Candidates tested exactly for the pool once the best is found.
POOL_TESTS = 6000
#: Paths kept that are best in one respect, and candidates tested exactly for each respect.
EXTREMES = 3
EXTREME_TESTS = 256


def safe_paths(search: Search, task: Task = SILENT) -> list[SafePath]:
    """Different safe paths of a search, the best first; empty where there is none.

    Every one has passed every hard limit on the voxels of the CT.
    """
    if search.candidates == 0:
        return []
    measured: dict[tuple[int, int], PathMeasure] = {}

    def accepted(entry: int, place: int) -> bool:
        measure = measure_candidate(search, entry, place)
        measured[(entry, place)] = measure
        return keeps_limits(search, measure)

    found = search.pool(POOL, POOL_CELL_MM, POOL_TESTS, accepted, task)
    ends = dict.fromkeys((entry, place) for entry, place, _ in found)
    if found:
        # The weights only sort: what is best in one respect is there whatever they are.
        ends |= dict.fromkeys(search.extremes(EXTREMES, POOL_CELL_MM, EXTREME_TESTS, accepted))
    paths = [safe_path(search, measured[end], *end) for end in ends]
    return sorted(paths, key=lambda path: (path.cost, path.measure.entry_lps_mm))


def fan(search: Search, first: SafePath, missing: int, passes: int) -> list[SafePath]:
    """More passes through the skin hole of ``first``, for deposits that its track does not hold.

    Args:
        missing: deposits still to be placed.
        passes: passes in all, the first one included.

    Returns:
        Safe passes with the needle of the first. Each next one is the pass that spreads the
        deposits most evenly for what it costs, and holds deposits that keep the wished spacing
        from all others. Empty where no other pass helps.
    """
    spacing = search.rules.constraints.value("deposit_spacing_mm")
    status, _ = search.evaluated
    row = np.flatnonzero((status[first.entry] & ~np.uint16(kernels.DOUBT)) == 0)
    worth = float(search.rules.constraints.weights["spread"])
    solid = inner_points(search.target)
    taken = list(first.places)
    made: list[SafePath] = []
    left = [int(place) for place in row]
    while left and missing > 0 and len(made) + 1 < passes:
        left = [one for one in left if _apart(search.ends(first.entry, one)[1], taken, spacing)]
        path = _next_pass(search, first, left, taken, solid, worth, missing)
        if path is None:
            break
        kept = [path.places[0]]
        kept += [spot for spot in path.places[1:] if _apart(spot, taken, spacing)]
        made.append(path.with_places(tuple(kept)))
        taken.extend(kept)
        missing -= len(kept)
    return made


def _next_pass(
    search: Search,
    first: SafePath,
    places: list[int],
    taken: list[PointLps],
    solid: FloatArray,
    worth: float,
    missing: int,
) -> SafePath | None:
    """The safe pass that spreads the deposits best for what it costs; None where none is safe.

    ``worth``: cost that removing all of what the deposits leave uneven would make up for.
    """
    cost = search.evaluated[1][first.entry]
    tips = np.asarray([search.ends(first.entry, one)[1] for one in places]).reshape(-1, 3)
    gain = spread_gain(solid, np.asarray(taken), tips)
    score = np.asarray([float(cost[one]) for one in places]) - worth * gain
    for number in np.lexsort((np.asarray(places, dtype=int), score)):
        place = places[int(number)]
        if not search.exactly_clear(np.array([first.entry]), np.array([place]))[0]:
            continue
        measure = measure_candidate(search, first.entry, place, first.measure.needle)
        if measure.needle != first.measure.needle or not keeps_limits(search, measure):
            continue
        return safe_path(search, measure, first.entry, place, missing)
    return None


def _apart(point: PointLps, others: list[PointLps], spacing_mm: float) -> bool:
    """Whether a point keeps the spacing from all others."""
    gaps = np.linalg.norm(np.asarray(others) - np.asarray(point), axis=1)
    return bool(np.all(gaps >= spacing_mm))


def keeps_limits(search: Search, measure: PathMeasure) -> bool:
    """Whether a measured path passes every hard limit: the last word on it."""
    return allowed(check_path(measure, search.margins, search.rules))


def measure_candidate(
    search: Search, entry: int, place: int, needle: NeedleType | None = None
) -> PathMeasure:
    """Measure a candidate of a search exactly, as far as the wanted clearances reach."""
    scene = search.scene
    start, tip = search.ends(entry, place)
    far = float(search.margins.wanted_mm.max(initial=0.0))
    return measure_path(
        scene.anatomy, scene.body, search.target.mask, search.margins, search.rules, start, tip,
        scene.support, search.skin.inward[entry], far, needle, scene.surroundings,
    )  # fmt: skip


def safe_path(
    search: Search,
    measure: PathMeasure,
    entry: int,
    place: int,
    deposits: int | None = None,
) -> SafePath:
    """What ranks a path that passed every hard limit; ``deposits`` wanted on it, if not all."""
    spacing = search.rules.constraints.value("deposit_spacing_mm")
    wanted = search.deposits if deposits is None else min(deposits, search.deposits)
    places = places_on_track(
        measure.entry_lps_mm, measure.tip_lps_mm, search.target, wanted, spacing
    )
    lung_mm = sum(measure.crosses_mm.get(name, 0.0) for name in search.margins.lung_names)
    liver_mm = sum(measure.crosses_mm.get(name, 0.0) for name in search.margins.liver_names)
    tip_depth = float(search.tip_depth_mm[place])
    shortfall = clearance_shortfall(measure, search.margins)
    missing = 1.0 - len(places) / wanted
    extra = extra_cost(search, measure)
    cost = extra + path_cost(
        search,
        measure.depth_mm,
        measure.craniocaudal_angle_deg,
        measure.skin_angle_deg,
        measure.pleural_crossings,
        tip_depth,
        shortfall,
        lung_mm,
        liver_mm,
        missing,
    )
    return SafePath(
        measure=measure,
        places=places,
        deposits_wanted=wanted,
        tip_depth_mm=tip_depth,
        cost=cost,
        entry=entry,
        shortfall=shortfall,
        lung_mm=lung_mm,
        liver_mm=liver_mm,
        extra=extra,
    )
