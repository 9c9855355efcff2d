"""The paths of all lesions of a visit, chosen together, as needles in the order of the work."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

import numpy as np

from irplan.findings import Finding, Severity, declare
from irplan.geometry import PointLps
from irplan.trajectory.biopsy import Biopsy, biopsy_of
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.deposits import make_deposits, share_dose
from irplan.trajectory.describe import make_needle, path_findings
from irplan.trajectory.jobs import Found, Reached
from irplan.trajectory.joint import Axis, JointChoice, Option, choose, segment_distance_mm
from irplan.trajectory.needle import Deposit, Needle
from irplan.trajectory.order import working_order
from irplan.trajectory.passes import fan
from irplan.trajectory.ranking import SafePath, dominates, shown_paths
from irplan.trajectory.refine import refined
from irplan.trajectory.sharing import puncture_cost, shared_ways
from irplan.trajectory.threads import side_by_side

FEWER_DEPOSITS = declare(
    "fewer_deposits",
    Severity.INFO,
    "trajectory",
    "{lesion}: the track holds {held} of {wanted} deposits; each holds more for it",
)
NEEDLES_CROSS = declare(
    "needles_cross",
    Severity.WARN,
    "trajectory",
    "no choice of paths for {lesions} was found that keeps {gap} mm between all needles: place "
    "one, inject, and take it out before the next",
)
NOT_THE_BEST_ALONE = declare(
    "joint_choice",
    Severity.INFO,
    "trajectory",
    "{lesion}: the path is not its cheapest alone; that one would meet another lesion's needle",
)
SHARED_HOLE = declare(
    "shared_hole",
    Severity.INFO,
    "trajectory",
    "{lesions} share one skin hole: the needle is drawn back under the skin and turned for each",
)
SHARED_TRACK = declare(
    "shared_track",
    Severity.INFO,
    "trajectory",
    "{lesions} are injected on one track by withdrawal, the far one first",
)
NOT_PROVEN_BEST = declare(
    "joint_choice_not_proven",
    Severity.INFO,
    "trajectory",
    "the search for the best paths together was cut short: what was found costs {cost}, and no "
    "choice costs less than {bound}",
)


@dataclass(frozen=True)
class Together:
    """The needles of a visit, in the order of the work."""

    needles: tuple[Needle, ...] = ()
    alternatives: tuple[Needle, ...] = ()
    findings: tuple[Finding, ...] = ()
    biopsies: tuple[Biopsy, ...] = ()


@dataclass(frozen=True)
class Way:
    """Passes through one skin hole: each goes to one lesion, and may serve another on its track.

    Attributes:
        lesions: numbers of the lesions served, rising.
        goes_to: for every pass the number of the lesion it goes to.
        shared: whether one hole or one track serves more than one lesion.
    """

    lesions: tuple[int, ...]
    passes: tuple[Found, ...]
    goes_to: tuple[int, ...]
    cost: float
    moved: bool = False

    @property
    def shared(self) -> bool:
        """Whether more than one lesion is served."""
        return len(self.lesions) > 1

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Hub and tip of every pass."""
        return tuple(axis_of(one.path) for one in self.passes)

    @property
    def option(self) -> Option:
        """The way as the joint choice sees it."""
        return Option(self.cost, self.axes, self.lesions)


def axis_of(path: SafePath) -> Axis:
    """A path's needle from hub to tip, LPS mm."""
    measure = path.measure
    entry, tip = np.asarray(measure.entry_lps_mm), np.asarray(measure.tip_lps_mm)
    length = float(measure.needle.length_mm) if measure.needle else measure.depth_mm
    x, y, z = (float(value) for value in tip + (entry - tip) * (length / measure.depth_mm))
    return (x, y, z), measure.tip_lps_mm


def needle_distance_mm(one: Needle, other: Needle) -> float:
    """Least distance of two needles, their parts outside the skin included, mm."""
    ends = []
    for needle in (one, other):
        entry, tip = np.asarray(needle.entry_lps_mm), np.asarray(needle.tip_lps_mm)
        ends += [tip + (entry - tip) * (float(needle.length_mm) / needle.depth_mm), tip]
    return segment_distance_mm(*ends)


def needle_gap(constraints: Constraints) -> float | None:
    """Least distance of two needles; None where the one before is taken out first."""
    if constraints.value("previous_needle_in_place") < 0.5:
        return None
    return constraints.value("needle_gap_mm")


def chosen_together(
    reached: Sequence[Reached],
    constraints: Constraints,
    increment_ml: Decimal,
    to_biopsy: Collection[str] = (),
) -> Together:
    """The needles of all lesions, chosen together, and the alternatives of each.

    The cheapest choice, skin holes counted, that serves every lesion once and whose needles keep
    their distance; where there is none each lesion's cheapest, and a finding says so. What is
    shared is shared only where it costs less with the further passes of all fans counted too.
    """
    if not reached:
        return Together()
    ways = _ways(reached)
    choice, settled = _chosen(ways, reached, constraints)
    if any(way.shared and not _kept(way, reached) for way, _ in settled):
        apart = [way for way in ways if not way.shared or _kept(way, reached)]
        other, alone = _chosen(apart, reached, constraints)
        if other.compatible >= choice.compatible and _total(alone) < _total(settled) - 1e-9:
            choice, settled = other, alone
    findings = _choice_findings(choice, reached, constraints)
    needles: list[Needle] = []
    alternatives: list[Needle] = []
    biopsies: list[Biopsy] = []

    def shown(number: int) -> tuple[list[Needle], list[Needle]]:
        way, whole = settled[number]
        needle_id, entry_id = f"N{number + 1}", f"E{number + 1}"
        made = _as_needles(whole, reached, increment_ml, needle_id, entry_id)
        found = _alternatives(way, reached, constraints)
        beaten = _beaten_tips(way, found)
        made = [replace(one, dominated=one.tip_lps_mm in beaten) for one in made]
        others: list[Needle] = []
        for count, (lesion, rank, other) in enumerate(found, 1):
            alone = Way((lesion,), (other,), (lesion,), other.path.cost)
            names = f"{needle_id}-A{count}", f"{entry_id}-A{count}"
            others += _as_needles(alone, reached, increment_ml, *names, rank)
        return made, others

    every = side_by_side(shown, range(len(settled)))
    for (_, whole), (made, others) in zip(settled, every, strict=True):
        findings += _way_findings(whole, reached)
        findings += [finding for needle in made for finding in needle.findings]
        taken = _biopsies(whole, made, reached, to_biopsy, len(biopsies))
        biopsies += [one for one, _ in taken if one is not None]
        findings += [told for _, told in taken]
        needles += made
        alternatives += others
    return Together(numbered(needles), tuple(alternatives), tuple(findings), tuple(biopsies))


def _chosen(
    ways: Sequence[Way], reached: Sequence[Reached], constraints: Constraints
) -> tuple[JointChoice, list[tuple[Way, Way]]]:
    """The choice among some ways; in the order of the work each chosen one, bare and with fans."""
    gap = needle_gap(constraints)
    choice = choose([way.option for way in ways], len(reached), gap)
    chosen = [ways[number] for number in choice.chosen]
    held_apart = gap if choice.compatible else None
    for number, way in enumerate(chosen):
        others = [one for place, one in enumerate(chosen) if place != number]
        chosen[number] = _moved_off_the_grid(way, others, held_apart)
    ordered = [chosen[number] for number in working_order([_crossings(way) for way in chosen])]
    whole = [
        _with_fans(
            way, reached, [one for one in ordered if one is not way], held_apart, constraints
        )
        for way in ordered
    ]
    return choice, list(zip(ordered, whole, strict=True))


def _kept(way: Way, reached: Sequence[Reached]) -> bool:
    """Whether a way was carried over from an earlier plan."""
    return any(reached[number].held for number in way.lesions)


def _total(settled: Sequence[tuple[Way, Way]]) -> float:
    """What chosen ways cost, with the further passes of their fans.

    A fan's pass costs what it costs, less what its deposits were counted for as missing.
    """
    total = 0.0
    for bare, whole in settled:
        worth = float(bare.passes[0].search.rules.constraints.weights["spread"])
        total += bare.cost + sum(one.path.cost for one in whole.passes)
        total -= sum(one.path.cost for one in bare.passes)
        for lesion in bare.lesions:
            more = len(_places(whole, lesion)) - len(_places(bare, lesion))
            total -= worth * more / max(1, bare.passes[0].search.deposits)
    return total


def _biopsies(
    way: Way,
    needles: Sequence[Needle],
    reached: Sequence[Reached],
    to_biopsy: Collection[str],
    before: int,
) -> list[tuple[Biopsy | None, Finding]]:
    """The biopsies of a way's lesions, each along the first pass that injects the lesion."""
    taken: list[tuple[Biopsy | None, Finding]] = []
    for lesion in way.lesions:
        target = reached[lesion].job.target
        if target.lesion_id not in to_biopsy:
            continue
        place = next(n for n, one in enumerate(needles) if target.lesion_id in one.lesion_ids)
        number = before + 1 + sum(one is not None for one, _ in taken)
        needle = needles[place]
        taken.append(
            biopsy_of(way.passes[place], target, needle.needle_id, needle.entry_id, number)
        )
    return taken


def _ways(reached: Sequence[Reached]) -> list[Way]:
    ways = []
    for number, one in enumerate(reached):
        hole = puncture_cost(one)
        if one.rides:
            continue
        # On a kept track that serves more lesions all of them stay.
        served = tuple(sorted((number, *(near for near, _ in one.best.also))))
        cost = one.best.path.cost + sum(more.cost for _, more in one.best.also)
        ways.append(Way(served, (one.best,), (number,), cost + hole, True))
        if one.held:
            continue
        ways += [
            Way((number,), (Found(one.search, path),), (number,), path.cost + hole)
            for path in one.paths
        ]
    for lesions, passes in shared_ways(reached):
        if any(reached[number].held or reached[number].rides for number in lesions):
            continue
        cost = sum(one.path.cost + sum(more.cost for _, more in one.also) for one in passes)
        goes_to = lesions
        if len(passes) < len(lesions):
            goes_to = tuple(
                next(number for number in lesions if all(number != near for near, _ in one.also))
                for one in passes
            )
        ways.append(Way(lesions, passes, goes_to, cost + puncture_cost(reached[lesions[0]])))
    return ways


def _choice_findings(
    choice: JointChoice, reached: Sequence[Reached], constraints: Constraints
) -> list[Finding]:
    findings = []
    if not choice.compatible:
        names = ", ".join(one.job.target.lesion_id for one in reached)
        findings.append(NEEDLES_CROSS(lesions=names, gap=constraints.limits["needle_gap_mm"].value))
    if not choice.proven:
        findings.append(
            NOT_PROVEN_BEST(cost=f"{choice.cost:.2f}", bound=f"{max(choice.bound, 0.0):.2f}")
        )
    return findings


def _way_findings(way: Way, reached: Sequence[Reached]) -> list[Finding]:
    findings = []
    names = [reached[number].job.target.lesion_id for number in way.lesions]
    if way.shared:
        declared = SHARED_TRACK if any(one.also for one in way.passes) else SHARED_HOLE
        findings.append(declared(lesions=" and ".join(names)))
    elif not way.moved:
        findings.append(NOT_THE_BEST_ALONE(names[0], lesion=names[0]))
    for number in way.lesions:
        job = reached[number].job
        held = len(_places(way, number))
        if held < job.deposits:
            name = job.target.lesion_id
            findings.append(FEWER_DEPOSITS(name, lesion=name, held=held, wanted=job.deposits))
    return findings


def _keeps_off(others: Sequence[Way], gap_mm: float | None) -> Callable[[SafePath], bool]:
    """Whether a path's needle keeps the gap from all needles of other ways."""
    axes = [axis for way in others for axis in way.axes]

    def keeps(path: SafePath) -> bool:
        if gap_mm is None:
            return True
        hub, tip = (np.asarray(end) for end in axis_of(path))
        return all(
            segment_distance_mm(hub, tip, np.asarray(a), np.asarray(b)) >= gap_mm for a, b in axes
        )

    return keeps


def _moved_off_the_grid(way: Way, others: Sequence[Way], gap_mm: float | None) -> Way:
    """The way with its pass moved to a better place nearby; what is shared stays as it is."""
    if way.moved or way.shared:
        return way
    before = way.passes[0]
    after = Found(*refined(before.search, before.path, _keeps_off(others, gap_mm)))
    return replace(way, passes=(after,), cost=way.cost + after.path.cost - before.path.cost)


def _crossings(way: Way) -> int:
    return sum(one.path.measure.pleural_crossings for one in way.passes)


def _with_fans(
    way: Way,
    reached: Sequence[Reached],
    others: Sequence[Way],
    gap_mm: float | None,
    constraints: Constraints,
) -> Way:
    """The way with further passes through its hole, for deposits that its tracks do not hold."""
    most = int(constraints.value("fan_passes"))
    keeps = _keeps_off(others, gap_mm)
    passes: list[Found] = []
    goes_to: list[int] = []
    for found, number in zip(way.passes, way.goes_to, strict=True):
        missing = reached[number].job.deposits - len(found.path.places)
        more = [path for path in fan(found.search, found.path, missing, most) if keeps(path)]
        passes += [found, *(Found(found.search, path) for path in more)]
        goes_to += [number] * (1 + len(more))
    return replace(way, passes=tuple(passes), goes_to=tuple(goes_to))


def _places(way: Way, lesion: int) -> list[tuple[int, tuple[float, float, float]]]:
    """(pass, place) of every deposit of a lesion."""
    places = []
    for number, (found, goes_to) in enumerate(zip(way.passes, way.goes_to, strict=True)):
        if goes_to == lesion:
            places += [(number, place) for place in found.path.places]
        for near, shared in found.also:
            if near == lesion:
                places += [(number, place) for place in shared.places]
    return places


def _as_needles(
    way: Way,
    reached: Sequence[Reached],
    increment_ml: Decimal,
    needle_id: str,
    entry_id: str,
    rank: int = 1,
) -> list[Needle]:
    """The passes of a way; the dose of each lesion is split over all its deposits."""
    constraints = way.passes[0].search.rules.constraints
    names = [needle_id if n == 0 else f"{needle_id}-P{n + 1}" for n in range(len(way.passes))]
    held: list[list[Deposit]] = [[] for _ in way.passes]
    # A pass gives to the lesion it goes to first: the far one, then by withdrawal.
    for lesion in sorted(way.lesions, key=lambda one: (one not in way.goes_to, one)):
        job = reached[lesion].job
        places = _places(way, lesion)
        shares = share_dose(job.dose, len(places), increment_ml)
        for number, name in enumerate(names):
            own = [
                (place, share)
                for (owner, place), share in zip(places, shares, strict=True)
                if owner == number
            ]
            held[number] += make_deposits(name, job.target.lesion_id, own, constraints)
    made = []
    for number, (found, name) in enumerate(zip(way.passes, names, strict=True)):
        deposits = tuple(
            replace(deposit, deposit_id=f"{name}D{order}", order=order)
            for order, deposit in enumerate(held[number], 1)
        )
        needle = make_needle(found.search, found.path, deposits, name, entry_id, number + 1, rank)
        served = dict.fromkeys([*needle.lesion_ids, *(one.lesion_id for one in deposits)])
        told = tuple(path_findings(needle, found.search))
        made.append(replace(needle, lesion_ids=tuple(served), findings=told))
    return made


def _alternatives(
    way: Way, reached: Sequence[Reached], constraints: Constraints
) -> list[tuple[int, int, Found]]:
    """Other safe paths of the front for each lesion of a way: lesion, rank, and the path."""
    found: list[tuple[int, int, Found]] = []
    count = int(constraints.value("alternatives"))
    for lesion in way.lesions:
        one = reached[lesion]
        own = _own_path(way, lesion)
        forms = dict(one.moved)
        shown = shown_paths(
            one.paths, own or way.passes[0].path, count, _mover(one, forms), own is not None
        )
        for rank, (number, path) in enumerate(shown, 2):
            as_it_was = path is one.paths[number]
            found.append((lesion, rank, Found(one.search, path) if as_it_was else forms[number]))
    return found


def _mover(one: Reached, forms: dict[int, Found]) -> Callable[[int], SafePath]:
    """Moves the path of a number off the grid, and keeps it in ``forms``."""

    def moved(number: int) -> SafePath:
        if number not in forms:
            forms[number] = Found(*refined(one.search, one.paths[number]))
        return forms[number].path

    return moved


def _own_path(way: Way, lesion: int) -> SafePath | None:
    """The first pass that goes to a lesion; None where it is served on another one's track."""
    passes = zip(way.passes, way.goes_to, strict=True)
    return next((found.path for found, goes_to in passes if goes_to == lesion), None)


def _beaten_tips(way: Way, others: Sequence[tuple[int, int, Found]]) -> set[PointLps]:
    """Tips of passes that a shown alternative dominates: they were chosen for the others' sake."""
    return {
        found.path.measure.tip_lps_mm
        for found, goes_to in zip(way.passes, way.goes_to, strict=True)
        if any(dominates(one.path, found.path) for lesion, _, one in others if lesion == goes_to)
    }


def numbered(needles: Sequence[Needle]) -> tuple[Needle, ...]:
    """The needles with their deposits numbered through in the order of the work."""
    order = 1
    numbered = []
    for needle in needles:
        deposits = tuple(
            replace(deposit, order=order + step) for step, deposit in enumerate(needle.deposits)
        )
        order += len(deposits)
        numbered.append(replace(needle, deposits=deposits))
    return tuple(numbered)
