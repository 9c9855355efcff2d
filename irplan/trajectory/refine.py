"""Moving a kept path off the grid of the search: a better one nearby, if it is as safe.

The search looks at skin points on a raster and at some thirty places for the tip. Around each path
that is kept, finer skin points and places are tried, nearer and nearer, and the cheapest is taken
that passes the same exact test. The order of the trials is fixed, so the answer does not depend on
the number of threads.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from irplan.geometry import BoolArray, FloatArray
from irplan.trajectory import kernels
from irplan.trajectory.cost import least_cost
from irplan.trajectory.passes import keeps_limits, measure_candidate, safe_path
from irplan.trajectory.ranking import SafePath, dominates
from irplan.trajectory.search import Search
from irplan.trajectory.skin import SkinPoints, on_raster, skin_places

#: Rounds of the local search: step, and reach of entry and tip around the path so far, mm.
ROUNDS = ((1.0, 3.0), (0.5, 1.0))
#: Neighbours looked at exactly in each round, the most promising first; those that a bound on
#: their cost rules out are not measured.
TRIALS = 6
#: Neighbours held against the exact test at a time, and in all.
BATCH = 8
MOST_TESTED = 64
#: A smaller gain is none.
LEAST_GAIN = 1e-3


def refined(
    search: Search,
    path: SafePath,
    accepted: Callable[[SafePath], bool] = lambda path: True,
) -> tuple[Search, SafePath]:
    """The best safe path near ``path``, and the search that its entry number belongs to.

    A neighbour is taken only where it costs less, keeps every hard limit by the exact test, holds
    no fewer deposits, is not beaten by the path it replaces in every criterion, and ``accepted``
    says so. Where there is none the path is returned as it was.
    """
    for step_mm, reach_mm in ROUNDS:
        local = _neighbourhood(search, path, step_mm, reach_mm)
        found = _best_of(local, path, accepted)
        if found is not None:
            search, path = local, found
    return search, path


def _neighbourhood(search: Search, path: SafePath, step_mm: float, reach_mm: float) -> Search:
    """The search around one path; its own ends come first, the grid's places for the tip last.

    The grid's places stay, for further passes through the same hole.
    """
    scene, target = search.scene, search.target
    entry = np.asarray([path.measure.entry_lps_mm])
    near = skin_places(scene.body, scene.anatomy.grid, step_mm, entry, reach_mm)
    skin = SkinPoints(
        np.concatenate([entry, near]),
        np.concatenate([search.skin.inward[path.entry][None], scene.inward_normals(near)]),
    )
    tip = np.asarray(path.measure.tip_lps_mm)
    offsets = np.arange(-reach_mm, reach_mm + 1e-9, step_mm)
    cube = np.stack(np.meshgrid(offsets, offsets, offsets, indexing="ij"), axis=-1).reshape(-1, 3)
    around = on_raster(tip + cube[np.linalg.norm(cube, axis=1) <= reach_mm + 1e-9])
    inside, depth = target.inner_at(around)
    places = np.concatenate([tip[None], around[inside], search.tips_lps_mm])
    depths = np.concatenate([[path.tip_depth_mm], depth[inside], search.tip_depth_mm])
    return search.around(skin, places, depths)


def _best_of(
    local: Search, path: SafePath, accepted: Callable[[SafePath], bool]
) -> SafePath | None:
    """The cheapest of the most promising neighbours that may take the path's place."""
    status, cost = local.evaluated
    tips = local.tips_lps_mm
    close = np.linalg.norm(tips - np.asarray(path.measure.tip_lps_mm), axis=1) <= ROUNDS[0][1] + 0.1
    open_to: BoolArray = ((status & ~np.uint16(kernels.DOUBT)) == 0) & close
    flat = np.flatnonzero(open_to)
    # The coarse cost only sorts.
    worth: FloatArray = cost.ravel()[flat].astype(float)
    order = flat[np.lexsort((flat, worth))]
    best: SafePath | None = None
    trials = 0
    for start in range(0, min(len(order), MOST_TESTED), BATCH):
        batch = order[start : start + BATCH]
        entries, places = batch // len(tips), batch % len(tips)
        for number in np.flatnonzero(local.exactly_clear(entries, places)):
            if trials >= TRIALS:
                break
            entry, place = int(entries[number]), int(places[number])
            trials += 1
            bar = path.cost if best is None else best.cost
            if least_cost(local, entry, place) > bar - LEAST_GAIN:
                continue
            measure = measure_candidate(local, entry, place)
            if not keeps_limits(local, measure):
                continue
            found = safe_path(local, measure, entry, place, path.deposits_wanted)
            if found.cost > bar - LEAST_GAIN or len(found.places) < len(path.places):
                continue
            if not dominates(path, found) and accepted(found):
                best = found
        if trials >= TRIALS:
            break
    return best
