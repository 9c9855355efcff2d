"""How each kind of lesion is segmented: the weights of its surface, by what was drawn.

All kinds share one method (:mod:`irplan.lesions.surface`). They differ in how far the lesion may
leave the drawn ellipsoid and in how much single voxels count, since their surroundings differ: a
lung nodule stands out of air, a node lies among muscle and vessels of its own HU. What was tried
and lost is in docs/decisions/segmentation.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from irplan.lesions.lesion import LesionKind


@dataclass(frozen=True)
class SurfaceSettings:
    """Weights of a surface's cost. Found on real lesions; see docs/decisions.

    Attributes:
        region: weight of the HU inside and outside.
        edge: weight of a step along the ray.
        place: radius expected before the image is seen; below 1, since lesions fill their
            ellipsoid only in part.
        width_in, width_out: how far inside and outside of it the surface may lie (standard
            deviation). A drawn diameter is a longest one: lesions fall short of their ellipsoid
            more often, and by more, than they pass it.
        smooth: how far neighbours may differ (standard deviation).
        reach_mm: a step is looked at over this distance on both sides.
        noise_hu: the least noise assumed.
        voxel: weight of the HU of single voxels where no clear border is in sight and all of the
            border is visible; none where none is.
    """

    region: float = 0.35
    edge: float = 1.0
    place: float = 0.97
    width_in: float = 0.14
    width_out: float = 0.07
    smooth: float = 0.048
    reach_mm: float = 1.3
    noise_hu: float = 15.0
    voxel: float = 0.8


@dataclass(frozen=True)
class KindSettings:
    """The weights for one kind, by how much a person drew.

    Attributes:
        lines: for two diameters or more (a box has two or three).
        line: for one diameter.
        click: for clicks or scribbles alone: a ball knows neither side better.
    """

    lines: SurfaceSettings
    line: SurfaceSettings
    click: SurfaceSettings

    def drawn(self, diameters: int) -> SurfaceSettings:
        """The weights for that number of diameters."""
        return self.lines if diameters > 1 else self.line if diameters == 1 else self.click


_LINES = SurfaceSettings()
_LINE = SurfaceSettings(voxel=0.4)
_CLICK = SurfaceSettings(region=0.2, edge=1.7, width_in=0.1, width_out=0.1, voxel=0.4)

SETTINGS = {
    # Against air or the even HU of an organ single voxels can be trusted further ...
    LesionKind.LUNG: KindSettings(replace(_LINES, voxel=1.2), _LINE, _CLICK),
    LesionKind.LIVER: KindSettings(replace(_LINES, voxel=1.2), _LINE, _CLICK),
    LesionKind.SOFT: KindSettings(_LINES, _LINE, _CLICK),
    LesionKind.SKIN: KindSettings(_LINES, _LINE, _CLICK),
    # ... and less where muscle and vessels look like the lesion.
    LesionKind.NODE: KindSettings(replace(_LINES, voxel=0.4), _LINE, _CLICK),
}
