"""One picture of a follow-up: each lesion before, now, and both as a checkerboard.

All three columns show the same axial plane of the older scan; the newer scan is drawn through the
local map, so what was registered well goes on across the fields of the checkerboard.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from irplan.export.slices import LUNG, SOFT_TISSUE
from irplan.files import replacing
from irplan.followup import CarriedLesion, FollowUp
from irplan.geometry import FloatArray
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask
from irplan.volume import CtVolume

#: Pixels along a side, and how much is shown around a lesion, mm.
PIXELS = 160
AROUND_MM = 35.0
#: Side of a field of the checkerboard, pixels.
FIELD = 20
_OLD, _NEW = "#ffd23f", "#33c9dc"


def write_follow_picture(found: FollowUp, old: CtVolume, new: CtVolume, target: Path) -> None:
    """Write the picture as PNG.

    Raises:
        InputRefused: ``target`` cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    carried = [one for one in found.carried if one.carried is not None]
    by_id = {one.lesion_id: one for one in found.lesions}
    known = {one.old.lesion_id for one in found.carried}
    fresh = [one for one in found.lesions if one.lesion_id not in known]
    rows = max(1, len(carried) + len(fresh))
    figure = Figure(figsize=(6.6, 2.25 * rows), dpi=90, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, 3, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for row, one in zip(axes, carried, strict=False):
        _lesion_row(row, one, by_id.get(one.old.lesion_id), old, new)
    for row, lesion in zip(axes[len(carried) :], fresh, strict=False):
        _new_row(row, lesion, found, old, new)
    high = 2.25 * rows
    figure.text(0.01, 1.0 - 0.16 / high, "outline before", color="#8a6d00", fontsize=8)
    figure.text(0.17, 1.0 - 0.16 / high, "outline now", color="#0d7c8c", fontsize=8)
    figure.text(0.31, 1.0 - 0.16 / high, "both drawn in the older scan", fontsize=8)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1.0 - 0.42 / high, 0.03, 0.14)
    with replacing(target) as temporary:
        # No software version and no date: the same picture is the same bytes.
        figure.savefig(temporary, format="png", metadata={"Software": None})


def _lesion_row(
    row: Any, one: CarriedLesion, now: Lesion | None, old: CtVolume, new: CtVolume
) -> None:
    centre = np.asarray(one.old.centroid_lps_mm, dtype=float)
    mask = one.old.mask
    assert mask is not None
    plane, extent = _plane(centre, mask)
    window = LUNG if one.old.kind is LesionKind.LUNG else SOFT_TISSUE
    before = window.grey(_sampled(old, plane))
    moved = one.registration.map(plane)
    after = window.grey(_sampled(new, moved))
    _show(row[0], before, extent, f"{one.old.lesion_id}: before")
    told = "not seen" if now is None else "now"
    _show(row[1], after, extent, f"{one.old.lesion_id}: {told}")
    k, j = np.indices(before.shape) // FIELD
    _show(row[2], np.where((k + j) % 2 == 0, before, after), extent, "both")
    for axis in row:
        _outline(axis, mask, plane, extent, _OLD)
        if now is not None and now.mask is not None:
            _outline(axis, now.mask, moved, extent, _NEW)


def _new_row(row: Any, lesion: Lesion, found: FollowUp, old: CtVolume, new: CtVolume) -> None:
    mask = lesion.mask
    if mask is None:
        return
    plane, extent = _plane(np.asarray(lesion.centroid_lps_mm, dtype=float), mask)
    window = LUNG if lesion.kind is LesionKind.LUNG else SOFT_TISSUE
    before = window.grey(_sampled(old, found.whole.rigid.inverse()(plane)))
    after = window.grey(_sampled(new, plane))
    _show(row[0], before, extent, f"{lesion.lesion_id}: before")
    _show(row[1], after, extent, f"{lesion.lesion_id}: new")
    k, j = np.indices(before.shape) // FIELD
    _show(row[2], np.where((k + j) % 2 == 0, before, after), extent, "both")
    for axis in row:
        _outline(axis, mask, plane, extent, _NEW)


def _plane(centre: FloatArray, mask: LesionMask) -> tuple[FloatArray, float]:
    """Points (rows, columns, 3) of an axial plane, LPS mm, and half its side, mm."""
    size = np.asarray(mask.voxels.shape[::-1]) * np.asarray(mask.grid.spacing_mm)
    half = AROUND_MM + float(size.max()) / 2.0
    steps = np.linspace(-half, half, PIXELS)
    points = np.empty((PIXELS, PIXELS, 3))
    points[..., 0] = centre[0] + steps[None, :]
    points[..., 1] = centre[1] + steps[:, None]
    points[..., 2] = centre[2]
    return points, half


def _sampled(volume: CtVolume, points: FloatArray) -> FloatArray:
    index = np.moveaxis(volume.geometry.to_index(points)[..., ::-1], -1, 0)
    hu: FloatArray = ndimage.map_coordinates(
        volume.hu, index, order=1, mode="constant", cval=-1024.0, output=np.float64
    )
    return hu


def _show(axis: Any, grey: Any, half: float, title: str) -> None:
    axis.imshow(
        grey, cmap="gray", vmin=0, vmax=255, extent=(-half, half, half, -half),
        interpolation="bilinear",
    )  # fmt: skip
    axis.set_title(title, fontsize=8, pad=2)
    axis.text(-0.97 * half, 0.0, "R", color="white", fontsize=7, va="center")
    axis.text(0.97 * half, 0.0, "L", color="white", fontsize=7, va="center", ha="right")


def _outline(axis: Any, mask: LesionMask, points: FloatArray, half: float, colour: str) -> None:
    index = np.moveaxis(mask.box_grid.to_index(points)[..., ::-1], -1, 0)
    # With a rim of empty voxels, or the outline would run through the outermost voxels' centres.
    inside = ndimage.map_coordinates(
        np.pad(mask.voxels, 1).astype(np.float32), index + 1.0, order=1, mode="constant", cval=0.0
    )
    if inside.max() > 0.5:
        steps = np.linspace(-half, half, PIXELS)
        axis.contour(steps, steps, inside, levels=[0.5], colors=[colour], linewidths=1.0)
