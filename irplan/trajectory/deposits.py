"""Deposits on a needle's track: where, and how much in each, adding up exactly to the dose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray, PointLps, length_of
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.exact import local_mm
from irplan.trajectory.needle import Deposit
from irplan.trajectory.skin import on_raster
from irplan.trajectory.stepping import holds
from irplan.trajectory.target import Target
from irplan.units import EXACT

AnyArray = npt.NDArray[Any]

#: Step at which the track is looked at inside the lesion, mm.
STEP_MM = 0.25
#: Points of a lesion on which the spread of its deposits is judged.
MOST_POINTS = 1500

Dose = Sequence[tuple[str, Decimal]]


def wanted_deposits(dose: Dose, increment_ml: Decimal, constraints: Constraints) -> int:
    """In how many deposits a lesion's dose is to be given, tracks allowing."""
    total = sum((ml for _, ml in dose), Decimal(0))
    if total <= 0:
        return 1
    most = max(1, math.ceil(total / constraints.limits["deposit_max_ml"].value))
    # No deposit is smaller than what the syringe can show.
    shown = max(int(ml / increment_ml) for _, ml in dose)
    return max(1, min(most, shown))


def split_ml(total: Decimal, count: int, increment_ml: Decimal) -> tuple[Decimal, ...]:
    """``total`` in ``count`` parts of whole increments that add up to it exactly.

    The parts differ by one increment at most, the larger ones first; what is left below one
    increment goes to the first part.
    """
    with localcontext(EXACT):
        steps = int(total / increment_ml)
        base, extra = divmod(steps, count)
        parts = [increment_ml * (base + (1 if number < extra else 0)) for number in range(count)]
        parts[0] += total - increment_ml * steps
    return tuple(parts)


def places_on_track(
    entry_lps_mm: PointLps,
    tip_lps_mm: PointLps,
    target: Target,
    count: int,
    spacing_mm: float,
) -> tuple[PointLps, ...]:
    """Where deposits lie: the tip first, then by withdrawal, evenly over the inner part.

    As many as the track holds at ``spacing_mm``, ``count`` at most; each lies on the axis and in
    the part of the lesion where a deposit may lie.
    """
    entry, tip = np.asarray(entry_lps_mm), np.asarray(tip_lps_mm)
    depth = length_of(tip - entry)
    back = (entry - tip) / depth
    distances = np.arange(0.0, depth, STEP_MM)
    box = target.grid
    step = np.asarray(box.spacing_mm)
    start, end = np.ascontiguousarray(local_mm(np.array([tip, entry]), box))
    allowed = _inside(target.inner, step, start, (end - start) / depth, len(distances), STEP_MM)
    if count <= 1 or not allowed.any():
        return (tip_lps_mm,)
    free = distances[allowed]
    span = float(free[-1])
    fitting = min(count, 1 + int((span + 1e-9) / spacing_mm))
    chosen = [0.0]
    for number in range(1, fitting):
        wish = span * number / (fitting - 1)
        options = free[free >= chosen[-1] + spacing_mm - 1e-9]
        if options.size == 0:
            break
        chosen.append(float(options[np.argmin(np.abs(options - wish))]))
    points = on_raster(tip + np.asarray(chosen)[:, None] * back)
    return tuple((float(x), float(y), float(z)) for x, y, z in points)


@numba.njit(cache=True, nogil=True)  # type: ignore[misc,unused-ignore]
def _inside(
    inner: AnyArray, spacing: AnyArray, tip: AnyArray, back: AnyArray, count: int, step: float
) -> AnyArray:
    """Whether each of ``count`` places from the tip backwards lies where a deposit may lie.

    ``tip``, ``back``: in the frame of the box ``inner`` (z, y, x), mm.
    """
    allowed = np.zeros(count, dtype=np.bool_)
    for n in range(count):
        i = int(np.floor((tip[0] + n * step * back[0]) / spacing[0]))
        j = int(np.floor((tip[1] + n * step * back[1]) / spacing[1]))
        k = int(np.floor((tip[2] + n * step * back[2]) / spacing[2]))
        allowed[n] = holds(inner, i, j, k) and inner[k, j, i]
    return allowed


def inner_points(target: Target) -> FloatArray:
    """Points (n, 3), LPS mm, evenly taken from where a deposit may lie; some 1,500 at most."""
    z, y, x = np.nonzero(target.inner)
    some = slice(None, None, max(1, len(z) // MOST_POINTS))
    index = np.stack([x[some], y[some], z[some]], axis=1)
    return np.asarray(target.grid.to_lps(index))


def spread_gain(solid: FloatArray, taken: FloatArray, places: FloatArray) -> FloatArray:
    """By which share a deposit at each place (m, 3) would make the deposits spread more evenly.

    Uneven is the mean squared distance from the points of ``solid`` (n, 3) to the nearest deposit.
    1 where the place would leave nothing, 0 where it helps nothing.
    """
    now = np.min(((solid[:, None] - taken[None]) ** 2).sum(axis=2), axis=1)
    then = np.minimum(now[:, None], ((solid[:, None] - places[None]) ** 2).sum(axis=2))
    before = float(now.sum())
    if before <= 0.0:
        return np.zeros(len(places))
    return np.asarray(1.0 - then.sum(axis=0) / before)


def radius_band_mm(volume_ml: Decimal, constraints: Constraints) -> tuple[float, float]:
    """Radii of the illustrative spheres r = (3 k V f / 4π)^(1/3), low and high, mm.

    k f between the two settings ``distribution_low`` and ``distribution_high`` (customary). The
    band decides nothing.
    """

    def radius(factor: float) -> float:
        cubed: float = 3.0 * factor * float(volume_ml) * 1000.0 / (4.0 * math.pi)
        return math.cbrt(cubed)

    return radius(constraints.value("distribution_low")), radius(
        constraints.value("distribution_high")
    )


def share_dose(dose: Dose, count: int, increment_ml: Decimal) -> list[dict[str, Decimal]]:
    """The mL of every drug for each deposit; every drug adds up to its dose exactly."""
    shares: list[dict[str, Decimal]] = [{} for _ in range(count)]
    for drug, ml in dose:
        for share, part in zip(shares, split_ml(ml, count, increment_ml), strict=True):
            share[drug] = part
    return shares


def make_deposits(
    needle_id: str,
    lesion_id: str,
    places: Sequence[tuple[PointLps, Mapping[str, Decimal]]],
    constraints: Constraints,
) -> tuple[Deposit, ...]:
    """The deposits of one pass from its places and what each gets, in the order given.

    A place that would get nothing of any drug is left out, unless there is no dose at all.
    """
    kept = [(place, share) for place, share in places if not share or _total(share) > 0]
    return tuple(
        Deposit(
            f"{needle_id}D{number}",
            number,
            lesion_id,
            place,
            tuple(share.items()),
            radius_band_mm(_total(share), constraints),
        )
        for number, (place, share) in enumerate(kept, 1)
    )


def _total(share: Mapping[str, Decimal]) -> Decimal:
    return sum(share.values(), Decimal(0))
