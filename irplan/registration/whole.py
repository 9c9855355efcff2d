"""The rigid registration of two whole scans, and whether it can be believed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import edt
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from irplan import units
from irplan.documents import point_document
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.geometry import BoolArray, FloatArray, GridGeometry
from irplan.registration.engine import refine_rigid
from irplan.registration.grids import AIR_HU, Sheet, pressed, whole_sheet
from irplan.registration.identity import STAGE
from irplan.registration.maps import RigidMap
from irplan.registration.shift import best_shift
from irplan.tasks import SILENT, Task
from irplan.volume import CtVolume

#: Step of the grid on which whole scans are registered, mm; every shift is looked at on twice it.
STEP_MM = 5.0
#: Share of the smaller scan that must lie on the other one.
LEAST_OVERLAP = 0.5
#: Air this many voxels around the patient counts too: the skin's place is worth knowing.
RIM_VOXELS = 2
#: Share of the voxels that the fine rigid step looks at.
FINE_SHARE = 0.3
#: Tissue deeper than this under either skin is compared, mm: the outline alone fits anybody.
INNER_MM = 15.0
#: Detail: what is left of the HU when their mean over about this is taken off, mm.
DETAIL_MM = 15.0
#: Below this (pressed) value a voxel is lung, gas or air, whose edges would drown all else.
TISSUE_HU = -250.0
#: Scans whose tissue correlates less in its detail do not show one patient; between the two
#: numbers they may, and a person has to look. Measured: docs/decisions/follow-up.md.
NOT_THE_SAME = 0.35
DOUBTFUL = 0.55
#: Skin that lies farther apart than this in the middle is told, mm.
SKIN_APART_MM = 8.0

IMAGES_DIFFER = declare(
    "images_do_not_match",
    Severity.STOP,
    STAGE,
    "the two scans do not fit each other: laid over each other as well as can be, their tissue "
    "correlates by {similarity} only (at least {least} for one patient): it may be another patient "
    "or another part of the body",
    forbids=Forbids.PLAN,
)
IMAGES_MIRRORED = declare(
    "images_mirrored",
    Severity.STOP,
    STAGE,
    "the newer scan fits the older one better with left and right exchanged (correlation "
    "{mirrored} against {similarity}): one of them may be mirrored, and a needle would go into the "
    "wrong side",
    forbids=Forbids.PLAN,
)
IMAGES_DOUBTFUL = declare(
    "registration_doubtful",
    Severity.STOP,
    STAGE,
    "the two scans fit each other poorly (correlation of the tissue {similarity}, skin {skin_mm} "
    "mm apart in the middle): a person has to look at the overlay before relying on it",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)
SKIN_APART = declare(
    "skin_apart",
    Severity.WARN,
    STAGE,
    "after the rigid registration the skin of the two scans lies {skin_mm} mm apart in the middle "
    "of its points: the patient lies or breathes otherwise",
)
LITTLE_OVERLAP = declare(
    "little_overlap",
    Severity.WARN,
    STAGE,
    "only {percent} % of the older scan's body lies in the newer scan: lesions outside it cannot "
    "be followed",
)


@dataclass(frozen=True)
class WholeRegistration:
    """How the newer scan lies to the older one as a whole.

    Attributes:
        rigid: older points → newer points, LPS mm.
        similarity: correlation of the detail of the tissue of both where they overlap, -1 to 1.
        skin_median_mm, skin_p95_mm: distance of the older skin, moved, from the newer one; None
            where no skin is in both.
        overlap: share of the older body that lies in the newer scan.
        findings: why it may not be believed.
    """

    rigid: RigidMap
    similarity: float
    skin_median_mm: float | None
    skin_p95_mm: float | None
    overlap: float
    findings: tuple[Finding, ...]

    def document(self) -> dict[str, Any]:
        """The registration as documents print it."""
        rigid = self.rigid
        return {
            "kind": "rigid",
            "rotation": [units.quantize(float(v), _ROTATION_STEP) for v in rigid.rotation.ravel()],
            "shift_mm": point_document(_point(rigid.shift_mm)),
            "angle_deg": units.deg(rigid.angle_deg),
            "similarity": units.share(self.similarity),
            "skin_median_mm": _mm(self.skin_median_mm),
            "skin_p95_mm": _mm(self.skin_p95_mm),
            "overlap": units.share(self.overlap),
            "estimated_by": "correlation of the detail of the tissue more than 15 mm under the "
            "skin, and the distance of skin from skin, after the rigid step",
        }


_ROTATION_STEP = units.SHARE_STEP.scaleb(-4)


def register_whole(
    old: CtVolume, old_body: BoolArray, new: CtVolume, new_body: BoolArray, task: Task = SILENT
) -> WholeRegistration:
    """The rigid map from the older to the newer scan, from any start.

    Every translation is looked at first, so the frames of reference may be any; rotations are
    found up to about 20 degrees. Positions are in the patient's own axes: prone and supine differ
    by no rotation.

    Args:
        old, new: the two CTs.
        old_body, new_body: bool (z, y, x) on each, the patient.
    """
    task.step(0, 5)
    fixed = whole_sheet(old, old_body, STEP_MM)
    moving = whole_sheet(new, new_body, STEP_MM)
    task.step(1, 5)
    coarse_fixed, coarse_moving = _halved(fixed), _halved(moving)
    start = _coarse(coarse_fixed, coarse_moving)
    task.step(2, 5)
    turned = _mirrored(coarse_moving)
    # Rounded: a tie is not a mirrored image.
    mirrored = round(_likeness(coarse_fixed, turned, _coarse(coarse_fixed, turned)), 3)
    similarity = round(_likeness(coarse_fixed, coarse_moving, start), 3)
    task.step(3, 5)
    rigid = refine_rigid(
        fixed,
        with_rim(fixed, RIM_VOXELS),
        moving,
        with_rim(moving, RIM_VOXELS),
        start,
        _centre(fixed),
        STEP_MM / 2.0,
        FINE_SHARE,
    )
    task.step(4, 5)
    judged = _judged(rigid, fixed, moving)
    if mirrored > max(similarity, NOT_THE_SAME):
        stop = IMAGES_MIRRORED(mirrored=units.share(mirrored), similarity=units.share(similarity))
        judged = replace(judged, findings=(*judged.findings, stop))
    task.step(5, 5)
    return judged


def _coarse(fixed: Sheet, moving: Sheet) -> RigidMap:
    """The rigid map from any start, on coarse sheets."""
    shift, _ = best_shift(fixed.values, fixed.seen, moving.values, moving.seen, LEAST_OVERLAP)
    start = _as_map(shift, fixed.grid, moving.grid)
    step = fixed.grid.spacing_mm[0]
    masks = with_rim(fixed, 1), with_rim(moving, 1)
    return refine_rigid(fixed, masks[0], moving, masks[1], start, _centre(fixed), step / 2.0)


def _mirrored(sheet: Sheet) -> Sheet:
    """The sheet with left and right exchanged, on the same grid."""
    return Sheet(
        np.ascontiguousarray(sheet.values[:, :, ::-1]),
        np.ascontiguousarray(sheet.body[:, :, ::-1]),
        np.ascontiguousarray(sheet.seen[:, :, ::-1]),
        sheet.grid,
    )


def with_rim(sheet: Sheet, voxels: int) -> BoolArray:
    """The patient and a rim of air around them, within the scan."""
    grown: BoolArray = ndimage.binary_dilation(sheet.body, iterations=voxels)
    return grown & sheet.seen


def laid_over(moving: Sheet, onto: Sheet, rigid: RigidMap) -> Sheet:
    """The moving sheet seen through ``rigid`` on the grid of the fixed one."""
    index = moving.grid.to_index(rigid(grid_points(onto.grid)))
    where = np.moveaxis(index[..., ::-1], -1, 0)
    air = float(pressed(np.full((1, 1, 1), AIR_HU))[0, 0, 0])
    values = ndimage.map_coordinates(moving.values, where, order=1, mode="constant", cval=air)
    body = ndimage.map_coordinates(moving.body.astype(np.uint8), where, order=0, mode="constant")
    seen = ndimage.map_coordinates(moving.seen.astype(np.uint8), where, order=0, mode="constant")
    return Sheet(values, body > 0, seen > 0, onto.grid)


def grid_points(grid: GridGeometry) -> FloatArray:
    """(z, y, x, 3) LPS mm of a grid's voxels."""
    k, j, i = np.meshgrid(*(np.arange(number) for number in grid.shape_zyx), indexing="ij")
    return grid.to_lps(np.stack([i, j, k], axis=-1))


def correlation(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> float:
    """Pearson's correlation of two lists of numbers; 0 where one of them is flat or empty."""
    if first.size < 2:
        return 0.0
    a, b = first.astype(float) - first.mean(), second.astype(float) - second.mean()
    scale = float(np.sqrt((a**2).sum() * (b**2).sum()))
    return float((a * b).sum()) / scale if scale > 0 else 0.0


def _halved(sheet: Sheet) -> Sheet:
    """The sheet at twice its step: means of blocks of eight."""
    depth, height, width = (number // 2 for number in sheet.values.shape)
    cut = (slice(0, 2 * depth), slice(0, 2 * height), slice(0, 2 * width))

    def blocks(values: Any) -> Any:
        return values[cut].reshape(depth, 2, height, 2, width, 2).mean(axis=(1, 3, 5))

    origin = sheet.grid.to_lps((0.5, 0.5, 0.5))
    step = 2.0 * sheet.grid.spacing_mm[0]
    grid = GridGeometry((width, height, depth), (step, step, step), _point(origin))
    return Sheet(
        blocks(sheet.values).astype(np.float32),
        blocks(sheet.body) >= 0.5,
        blocks(sheet.seen) >= 0.5,
        grid,
    )


def _as_map(shift_zyx: tuple[int, int, int], fixed: GridGeometry, moving: GridGeometry) -> RigidMap:
    steps = np.asarray(shift_zyx[::-1]) * np.asarray(fixed.spacing_mm)
    return RigidMap.of_shift(
        np.asarray(moving.origin_lps_mm) - np.asarray(fixed.origin_lps_mm) + steps
    )


def _centre(sheet: Sheet) -> FloatArray:
    index = np.argwhere(sheet.body)
    middle = index.mean(axis=0) if len(index) else np.asarray(sheet.values.shape) / 2.0
    centre: FloatArray = sheet.grid.to_lps(middle[::-1])
    return centre


def _judged(rigid: RigidMap, fixed: Sheet, moving: Sheet) -> WholeRegistration:
    laid = laid_over(moving, fixed, rigid)
    similarity = _detail_likeness(fixed, laid)
    median, p95 = _skin_gap(fixed, laid)
    body = max(1, int(np.count_nonzero(fixed.body)))
    overlap = float(np.count_nonzero(fixed.body & laid.seen)) / body
    findings: list[Finding] = []
    told = units.share(similarity)
    skin = "unknown" if median is None else units.mm(median)
    if similarity < NOT_THE_SAME:
        findings.append(IMAGES_DIFFER(similarity=told, least=units.share(NOT_THE_SAME)))
    elif similarity < DOUBTFUL:
        findings.append(IMAGES_DOUBTFUL(similarity=told, skin_mm=skin))
    if median is not None and median > SKIN_APART_MM:
        findings.append(SKIN_APART(skin_mm=skin))
    if overlap < LEAST_OVERLAP:
        findings.append(LITTLE_OVERLAP(percent=round(100 * overlap)))
    return WholeRegistration(rigid, similarity, median, p95, overlap, tuple(findings))


def _likeness(fixed: Sheet, moving: Sheet, rigid: RigidMap) -> float:
    return _detail_likeness(fixed, laid_over(moving, fixed, rigid))


def _detail_likeness(fixed: Sheet, laid: Sheet) -> float:
    """Correlation of the detail of the tissue that both sheets show, away from the skin."""
    tissue = _inner(fixed) & _inner(laid) & laid.seen
    tissue &= (fixed.values > TISSUE_HU) & (laid.values > TISSUE_HU)
    return correlation(_detail(fixed, tissue)[tissue], _detail(laid, tissue)[tissue])


def _detail(sheet: Sheet, tissue: BoolArray) -> FloatArray:
    """The values less their mean nearby, the mean taken over the tissue alone."""
    sigma = DETAIL_MM / sheet.grid.spacing_mm[0]
    weight = ndimage.gaussian_filter(tissue.astype(float), sigma, mode="constant", truncate=3.0)
    total = ndimage.gaussian_filter(
        np.where(tissue, sheet.values, 0.0).astype(float), sigma, mode="constant", truncate=3.0
    )
    detail: FloatArray = sheet.values - total / np.maximum(weight, 1e-6)
    return detail


def _inner(sheet: Sheet) -> BoolArray:
    """The body more than INNER_MM under the skin; where the scan ends, nothing is skin."""
    solid = (sheet.body | ~sheet.seen).astype(np.uint8)
    depth = edt.edt(solid, anisotropy=sheet.grid.spacing_zyx_mm, black_border=False, parallel=1)
    return np.asarray((depth > INNER_MM) & sheet.body)


def _skin_gap(fixed: Sheet, laid: Sheet) -> tuple[float | None, float | None]:
    """Median and 95th percentile of the distance of the older skin from the newer one, mm."""
    older, newer = _skin(fixed) & laid.seen, _skin(laid)
    if not older.any() or not newer.any():
        return None, None
    gap = edt.edt(
        (~newer).astype(np.uint8), anisotropy=fixed.grid.spacing_zyx_mm, black_border=False,
        parallel=1,
    )  # fmt: skip
    return float(np.median(gap[older])), float(np.quantile(gap[older], 0.95))


def _skin(sheet: Sheet) -> BoolArray:
    """Voxels of the body beside air that the scan shows; the cut ends of a scan are no skin."""
    air = ~sheet.body & sheet.seen
    beside: BoolArray = ndimage.binary_dilation(air) & sheet.body
    return beside


def _point(values: FloatArray) -> tuple[float, float, float]:
    x, y, z = (float(value) for value in values)
    return x, y, z


def _mm(value: float | None) -> Any:
    return None if value is None else units.mm(value)
