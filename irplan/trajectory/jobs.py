"""One lesion to be planned, and the scene that holds every lesion of a visit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from irplan.anatomy import Anatomy
from irplan.geometry import BoolArray
from irplan.trajectory.ranking import SafePath
from irplan.trajectory.rules import Rules
from irplan.trajectory.scene import Scene
from irplan.trajectory.search import Search
from irplan.trajectory.target import Target


@dataclass(frozen=True)
class Job:
    """One lesion to be planned: target, numbers, dose, deposits wanted in all."""

    target: Target
    rules: Rules
    dose: tuple[tuple[str, Decimal], ...]
    deposits: int

    def search(self, scene: Scene, guidance: str, beyond_mm: float = 0.0) -> Search:
        """The search of the lesion for a way of working."""
        rules = replace(self.rules, guidance=guidance)
        on_track = min(self.deposits, int(rules.constraints.value("deposits_per_pass")))
        return Search(scene, self.target, rules, on_track, beyond_mm)


@dataclass(frozen=True)
class Found:
    """A safe path and the search that its entry number belongs to.

    Attributes:
        also: other lesions, by their number in the visit, with the places for their deposits on
            the same track.
    """

    search: Search
    path: SafePath
    also: tuple[tuple[int, SharedPlaces], ...] = ()


@dataclass(frozen=True)
class SharedPlaces:
    """Where deposits of a second lesion lie on a track.

    Attributes:
        places: LPS mm, the deepest first.
        cost: what they add to the track's cost.
    """

    places: tuple[tuple[float, float, float], ...]
    cost: float


@dataclass(frozen=True)
class Reached:
    """A lesion with its safe paths, the best first.

    Attributes:
        paths: on the grid of the search.
        best: the best of them, moved off the grid.
        held: whether ``best`` was carried over from an earlier plan and is to be kept.
        moved: those paths, by their number, that were moved off the grid already.
        rides: whether the lesion is served on the kept track of another one.
    """

    job: Job
    search: Search
    paths: list[SafePath]
    best: Found
    held: bool = False
    rides: bool = False
    moved: Mapping[int, Found] = field(default_factory=dict)


def scene_for(
    jobs: Sequence[Job], anatomy: Anatomy, body: BoolArray, beyond_mm: float = 0.0
) -> Scene:
    """The scene that holds every path of the jobs, those under CT included.

    ``beyond_mm``: skin this much farther than any needle reaches is held too.
    """
    rules = jobs[0].rules
    constraints = rules.constraints
    reach = 0.0
    for job in jobs:
        # A superficial lesion without a safe short path is searched again under CT.
        for way in (job.rules, replace(job.rules, guidance="ct")):
            if way.lengths_mm.size:
                reach = max(reach, float(way.lengths_mm[-1]) - way.reserve_mm)
    widest = max(float(rule.margin_mm) for rule in constraints.structures)
    return Scene.of(
        anatomy,
        body,
        [job.target.points_lps_mm for job in jobs],
        reach + beyond_mm,
        max(20.0, widest + 2.0),
        constraints.value("skin_raster_mm"),
        constraints.value("scan_edge_mm"),
        rules.position.plumb,
    )
