"""The brush: its size and manner, and a stroke of it as a change of a mask. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from irplan.geometry import PointLps
from irplan.lesions import editing
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.volume import CtVolume

Change = Callable[[LesionMask | None], LesionMask | None]

#: Radii that [ and ] walk through, mm.
RADII_MM = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 12.0, 15.0, 20.0, 25.0, 30.0)


#: A border is moved by this, mm, or by a voxel's shortest side where that is longer.
STEP_MM = 1.0
STEP_WORDS = "1 mm, or by a voxel where that is larger"


@dataclass(frozen=True)
class Brush:
    """How the brush paints.

    Attributes:
        radius_mm: of the ball or disc.
        ball: in three dimensions; otherwise in the slice that is painted on.
        in_window: only voxels whose HU lie within the window shown.
    """

    radius_mm: float = 5.0
    ball: bool = False
    in_window: bool = False

    def sized(self, step: int) -> Brush:
        """The brush one size larger (1) or smaller (-1)."""
        sizes = [radius for radius in RADII_MM if (radius - self.radius_mm) * step > 0]
        return replace(self, radius_mm=min(sizes) if step > 0 else max(sizes)) if sizes else self


@dataclass(frozen=True)
class Stroke:
    """Where the brush went with the button down.

    Attributes:
        points_lps_mm: at least one, LPS mm.
        erase: takes off instead.
        through: grid axis that the slice painted on cuts across.
    """

    points_lps_mm: Sequence[PointLps]
    erase: bool
    through: int

    def change(
        self, brush: Brush, volume: CtVolume, window_hu: tuple[int, int] | None = None
    ) -> Change:
        """What the stroke makes of a mask.

        ``window_hu`` holds where the brush is to stay within a window.
        """
        through = None if brush.ball else self.through
        covered = editing.stroke(
            volume.geometry, self.points_lps_mm, brush.radius_mm, through=through
        )
        if covered is not None and brush.in_window and window_hu is not None:
            covered = editing.within_window(covered, volume, window_hu)

        def change(mask: LesionMask | None) -> LesionMask | None:
            if self.erase:
                return editing.minus(mask, covered)
            if mask is None or covered is None:
                return mask or covered
            return editing.union(mask, covered)

        return change


def far_point(lesion: Lesion, there_lps_mm: PointLps) -> PointLps:
    """A point deep in the part of a lesion that lies away from a point: where it is parted from.

    Of the voxels on the far side of the lesion's middle the one deepest inside; LPS mm.

    Raises:
        ValueError: the lesion has no voxels.
    """
    mask = lesion.mask
    if mask is None:
        raise ValueError(f"{lesion.lesion_id} has no voxels")
    grid = mask.box_grid
    index = np.argwhere(mask.voxels)
    points = grid.to_lps(index[:, ::-1])
    middle = points.mean(axis=0)
    away = middle - np.asarray(there_lps_mm)
    depth = ndimage.distance_transform_edt(
        np.pad(mask.voxels, 1), sampling=mask.grid.spacing_zyx_mm
    )[1:-1, 1:-1, 1:-1]
    beyond = (points - middle) @ away > 0
    worth = np.where(beyond, depth[tuple(index.T)], -1.0)
    x, y, z = points[int(np.argmax(worth))].tolist()
    return x, y, z


def _on(function: Callable[[LesionMask], LesionMask | None]) -> Change:
    return lambda mask: None if mask is None else function(mask)


def _moved(mask: LesionMask, sign: int) -> LesionMask | None:
    return editing.grow(mask, sign * max(STEP_MM, min(mask.grid.spacing_mm)))


#: Edits of a whole mask: name, what it does, the change.
WHOLE_EDITS: tuple[tuple[str, str, Change], ...] = (
    (
        "Fill between slices",
        "Empty slices between drawn ones get the shape in between",
        _on(editing.fill_between_slices),
    ),
    ("Fill holes", "Cavities are filled", _on(editing.fill_holes)),
    ("Keep the largest part", "Islands are taken off", _on(editing.keep_largest)),
    ("Smooth by 1.5 mm", "The border is smoothed", _on(lambda mask: editing.smooth(mask, 1.5))),
    ("Grow", f"The border moves out by {STEP_WORDS}", _on(lambda mask: _moved(mask, 1))),
    ("Shrink", f"The border moves in by {STEP_WORDS}", _on(lambda mask: _moved(mask, -1))),
)
