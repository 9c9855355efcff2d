"""On which side of the body a lesion lies: the midline, the side proposed, the side checked.

LPS is fixed to the patient, so left is left however they lay. The midline is where the body around
the lesion's height is most like its mirror image (bone, lung and outline together), and has to
agree with the middle of the outline. Where it cannot be told (no outline, a single limb in view,
the two disagree) the side stays unknown. Distances are customary settings.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import Lesion
from irplan.lesions.naming import side_of
from irplan.volume import CtVolume

#: A lesion whose middle lies this near to the midline is not proposed to lie on a side, mm.
MIDLINE_MM = 10.0
#: A side that was given contradicts the scan from this distance on the other side on, mm: the spine
#: is not straight, and the middle of a large lesion may cross the midline.
CONTRADICTS_MM = 15.0
#: The raster on which the body is looked at, mm; and the heights above and below the lesion.
RASTER_MM = 5.0
HEIGHTS_MM = (-30.0, -15.0, 0.0, 15.0, 30.0)
#: A body narrower than this in the scan may be a limb or the neck: its middle is the midline only
#: where a wider part of the same scan says so, mm.
NARROW_MM = 230.0
#: ... no farther away along the body than this, mm; looked for in steps of this.
TRUNK_REACH_MM = 300.0
TRUNK_STEP_MM = 30.0
#: The mirror line is looked for this far from the middle of the outline, mm; and it must lie
#: within this distance of it.
MIRROR_REACH_MM = 40.0
AGREE_MM = 20.0
#: HU between which tissue is told apart: air to bone.
LOW_HU, HIGH_HU = -400.0, 300.0

STAGE = "lesions"

SIDE_PROPOSED = declare(
    "side_proposed",
    Severity.INFO,
    STAGE,
    "{lesion}: nobody said its side; '{side}' is proposed, since its middle lies {away_mm} mm from "
    "the midline of the body: confirm it",
)
SIDE_CONTRADICTS = declare(
    "side_contradicts_midline",
    Severity.WARN,
    STAGE,
    "{lesion} is said to lie on the {told}, but its middle lies {away_mm} mm to the {seen} of the "
    "midline of the body: look which of the two is wrong before anything is injected",
)
SIDE_UNCHECKED = declare(
    "side_unchecked",
    Severity.INFO,
    STAGE,
    "{lesion}: its side ({told}) could not be checked: the midline of the body cannot be told here",
)
SIDE_NOT_READ = declare(
    "side_not_understood",
    Severity.WARN,
    STAGE,
    "{lesion}: '{told}' is no side that is understood; write left, right, bilateral or midline",
)
_CODES = {one.code for one in (SIDE_PROPOSED, SIDE_CONTRADICTS, SIDE_UNCHECKED, SIDE_NOT_READ)}


@dataclass(frozen=True)
class Midline:
    """The patient's midline at one height.

    Attributes:
        x_mm: its LPS x.
        by: 'mirror' at that height, or 'trunk' where a wider part of the scan told it.
    """

    x_mm: float
    by: str


def side_findings(lesion: Lesion, volume: CtVolume, body: BoolArray | None) -> Lesion:
    """The lesion with its side checked against the midline, or proposed where nobody said it.

    Args:
        lesion: with its middle measured.
        volume, body: the CT and the patient, bool (z, y, x); ``None`` where unknown.
    """
    name, middle = lesion.lesion_id, lesion.centroid_lps_mm
    kept = tuple(one for one in lesion.findings if one.code not in _CODES)
    given = lesion.side if lesion.side_source != "proposed" else ""
    line = None if middle is None or body is None else find_midline(volume, body, middle[2])
    found: list[Finding] = []
    side, source = given, "given" if given else ""
    away = None if line is None or middle is None else middle[0] - line.x_mm
    seen = "" if away is None else "left" if away > 0 else "right"
    told = side_of(given)
    if given and told is None:
        found.append(SIDE_NOT_READ(name, lesion=name, told=given))
    elif told is not None and told.code in ("LEFT", "RIGHT"):
        if away is None:
            found.append(SIDE_UNCHECKED(name, lesion=name, told=given))
        elif told.code != seen.upper() and abs(away) >= CONTRADICTS_MM:
            distance = units.mm(abs(away))
            found.append(
                SIDE_CONTRADICTS(name, lesion=name, told=told.english, away_mm=distance, seen=seen)
            )
    elif not given and away is not None and abs(away) > MIDLINE_MM:
        side, source = seen, "proposed"
        found.append(SIDE_PROPOSED(name, lesion=name, side=seen, away_mm=units.mm(abs(away))))
    return replace(lesion, side=side, side_source=source, findings=(*kept, *found))


def find_midline(volume: CtVolume, body: BoolArray, z_mm: float) -> Midline | None:
    """The midline at a height (LPS z, mm), or ``None`` where it cannot be told."""
    here = _slab(volume, body, z_mm)
    if here is not None and here.width_mm >= NARROW_MM:
        x_mm = here.mirror_x_mm()
        return None if x_mm is None else Midline(x_mm, "mirror")
    steps = np.arange(TRUNK_STEP_MM, TRUNK_REACH_MM + 1.0, TRUNK_STEP_MM)
    for step in steps:
        for there_mm in (z_mm - step, z_mm + step):
            slab = _slab(volume, body, there_mm)
            if slab is None or slab.width_mm < NARROW_MM:
                continue
            x_mm = slab.mirror_x_mm()
            if x_mm is not None:
                return Midline(x_mm, "trunk")
    return None


@dataclass(frozen=True)
class _Slab:
    """Some axial planes of the body on a raster.

    Attributes:
        tissue: (planes, y, x), 0 to 1: how dense; 0 outside the body.
        inside: (planes, y, x), the body.
        x_mm: (x,) LPS x of the columns, rising.
        cut: whether the body reaches the left or right end of the scan.
    """

    tissue: FloatArray
    inside: BoolArray
    x_mm: FloatArray
    cut: bool

    @property
    def ends(self) -> tuple[int, int]:
        """First and last column of the body."""
        columns = np.flatnonzero(self.inside.any(axis=(0, 1)))
        return int(columns[0]), int(columns[-1])

    @property
    def width_mm(self) -> float:
        """Extent of the body from right to left."""
        first, last = self.ends
        return float(self.x_mm[last] - self.x_mm[first]) + RASTER_MM

    def mirror_x_mm(self) -> float | None:
        """Where the body is most like its mirror image; ``None`` where that is not its middle."""
        first, last = self.ends
        middle = 0.5 * (self.x_mm[first] + self.x_mm[last])
        half_steps = int(MIRROR_REACH_MM / (0.5 * RASTER_MM))
        centre = first + last
        best: tuple[float, float] | None = None
        for twice in range(centre - half_steps, centre + half_steps + 1):
            # Columns i and twice - i are mirror images; pairs beyond the scan are left out.
            low = max(0, twice - len(self.x_mm) + 1)
            high = min(len(self.x_mm) - 1, twice)
            columns = np.arange(low, high + 1)
            own, other = self.tissue[..., columns], self.tissue[..., twice - columns]
            either = self.inside[..., columns] | self.inside[..., twice - columns]
            covered = np.count_nonzero(self.inside[..., columns])
            if covered < 0.6 * np.count_nonzero(self.inside):
                continue
            unlike = float(np.abs(own - other)[either].mean())
            if best is None or unlike < best[0] - 1e-12:
                best = (unlike, float(self.x_mm[0] + 0.5 * twice * RASTER_MM))
        if best is None:
            return None
        # Where the scan cuts the body at a side, the middle of what is seen is not its middle.
        if not self.cut and abs(best[1] - middle) > AGREE_MM:
            return None
        return best[1]


def _slab(volume: CtVolume, body: BoolArray, z_mm: float) -> _Slab | None:
    """The planes around a height; ``None`` where no body lies in them."""
    grid = volume.geometry
    corners = grid.corners_lps_mm()
    low, high = corners.min(axis=0), corners.max(axis=0)
    x = np.arange(low[0], high[0] + RASTER_MM, RASTER_MM)
    y = np.arange(low[1], high[1] + RASTER_MM, RASTER_MM)
    z = z_mm + np.asarray(HEIGHTS_MM)
    planes = np.stack(
        np.broadcast_arrays(x[None, None, :], y[None, :, None], z[:, None, None]), axis=-1
    )
    index = np.rint(grid.to_index(planes)).astype(int)
    within: npt.NDArray[np.bool_] = np.all((index >= 0) & (index < np.asarray(grid.size)), axis=-1)
    i, j, k = np.moveaxis(np.where(within[..., None], index, 0), -1, 0)
    inside: BoolArray = within & body[k, j, i]
    if not inside.any():
        return None
    tissue = np.clip((volume.hu[k, j, i] - LOW_HU) / (HIGH_HU - LOW_HU), 0.0, 1.0)
    tissue = np.where(inside, 0.2 + 0.8 * tissue, 0.0)
    columns = np.flatnonzero(within.any(axis=(0, 1)))
    rim = inside[..., columns[[0, 1, -2, -1]]] if columns.size > 4 else inside
    return _Slab(tissue, inside, x, bool(rim.any()))
