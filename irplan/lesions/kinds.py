"""How each kind of lesion is segmented: the weights of its surface, by what was drawn.

All kinds share one method (:mod:`irplan.lesions.surface`). They differ in how much single voxels
count, since their surroundings differ: a lung nodule stands out of air, a node lies among muscle
and vessels of its own HU. In each lesion by itself what the image says is weighed by how well the
lesion differs from the tissue of like HU around it, which does most of what kinds were meant for.
What was tried and lost is in docs/decisions/segmentation.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from irplan.lesions.lesion import LesionKind
from irplan.lesions.prior import ShapePrior


@dataclass(frozen=True)
class SurfaceSettings:
    """Weights of a surface's cost. Found on real lesions; see docs/decisions.

    Attributes:
        prior: of the surface in the ellipsoid of the gestures.
        again: of the surface in the ellipsoid of what was found, for the second look; unused after
            three diameters.
        region: weight of the HU inside and outside, where they differ entirely from those nearby.
        region_power: how fast that weight falls where they do not.
        edge: weight of a step along the ray.
        reach_mm: a step is looked at over this distance on both sides.
        noise_hu: the least noise assumed.
        voxel: weight of the HU of single voxels where no clear border is in sight and all of the
            border is visible; none where none is.
    """

    prior: ShapePrior
    again: ShapePrior
    region: float
    region_power: float
    edge: float
    voxel: float
    reach_mm: float = 1.3
    noise_hu: float = 15.0


@dataclass(frozen=True)
class KindSettings:
    """The weights for one kind, by how much a person drew.

    Attributes:
        three: for three diameters (a box in space).
        two: for two diameters (a box in a slice).
        line: for one diameter.
        click: for clicks or scribbles alone.
    """

    three: SurfaceSettings
    two: SurfaceSettings
    line: SurfaceSettings
    click: SurfaceSettings

    def drawn(self, diameters: int) -> SurfaceSettings:
        """The weights for that number of diameters."""
        return (self.click, self.line, self.two, self.three)[min(diameters, 3)]


#: Spreads of the degrees from 3 on, the same whatever was drawn.
_DETAIL = (0.034, 0.023, 0.014, 0.012, 0.008)

_PRIOR_THREE = ShapePrior(0.90, (0.05, 0.072, 0.05, *_DETAIL))
_THREE = SurfaceSettings(
    _PRIOR_THREE, _PRIOR_THREE, region=0.07, region_power=5.0, edge=0.02, voxel=0.8
)
_TWO = replace(
    _THREE,
    prior=ShapePrior(0.92, (0.11, 0.08, 0.07, *_DETAIL)),
    again=ShapePrior(0.98, (0.06, 0.06, 0.06, *_DETAIL)),
)
_LINE = replace(
    _THREE,
    prior=ShapePrior(0.94, (0.17, 0.06, 0.06, *_DETAIL)),
    again=ShapePrior(1.02, (0.085, 0.045, 0.06, *_DETAIL)),
    region=0.008,
    region_power=3.0,
    edge=0.084,
)
_CLICK = replace(
    _LINE,
    prior=ShapePrior(1.0, (0.2, 0.12, 0.09, *_DETAIL)),
    again=ShapePrior(1.0, (0.08, 0.06, 0.06, *_DETAIL)),
    region=0.005,
    edge=0.1,
    voxel=0.4,
)
_BASE = KindSettings(_THREE, _TWO, _LINE, _CLICK)
#: Against air or the even HU of an organ single voxels can be trusted further ...
_CLEAR = replace(_BASE, three=replace(_THREE, voxel=1.2), two=replace(_TWO, voxel=1.2))
#: ... and less where muscle and vessels look like the lesion.
_ALIKE = replace(_BASE, three=replace(_THREE, voxel=0.4), two=replace(_TWO, voxel=0.4))

SETTINGS = {
    LesionKind.LUNG: _CLEAR,
    LesionKind.LIVER: _CLEAR,
    LesionKind.SOFT: _BASE,
    LesionKind.SKIN: _BASE,
    LesionKind.NODE: _ALIKE,
}
