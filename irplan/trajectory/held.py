"""A path that was carried over from an earlier plan and is kept where it is still safe."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan.geometry import PointLps
from irplan.trajectory.passes import keeps_limits, measure_candidate, safe_path
from irplan.trajectory.ranking import SafePath
from irplan.trajectory.search import Search
from irplan.trajectory.skin import SkinPoints, on_raster


@dataclass(frozen=True)
class HeldPath:
    """The path that a lesion keeps: its ends, LPS mm."""

    entry_lps_mm: PointLps
    tip_lps_mm: PointLps


def held_path(search: Search, held: HeldPath) -> tuple[Search, SafePath] | None:
    """The path as a safe one of a search of its own, or None where it is not safe (any more).

    It passes the same exact test as every other path, to its own ends and not to those of the
    search's raster.
    """
    entry = on_raster(np.asarray([held.entry_lps_mm], dtype=float))
    tip = on_raster(np.asarray([held.tip_lps_mm], dtype=float))
    inside, depth = search.target.inner_at(tip)
    if not inside[0] or bool((entry == tip).all()):
        return None
    scene = search.scene
    skin = SkinPoints(entry, scene.inward_normals(entry))
    # The search's own places stay, for further passes through the same hole.
    places = np.concatenate([tip, search.tips_lps_mm])
    depths = np.concatenate([depth, search.tip_depth_mm])
    local = search.around(skin, places, depths)
    measure = measure_candidate(local, 0, 0)
    if not keeps_limits(local, measure):
        return None
    return local, safe_path(local, measure, 0, 0)
