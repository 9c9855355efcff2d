"""Masks that are laid into the newer scan as they are: those that no gesture would give again.

A mask that was imported, edited by hand or made by a plug-in has a shape that the segmenter cannot
find from an ellipsoid. It is carried by the map of its lesion, voxel for voxel, and what the image
shows at its place stands beside it: a lesion that has grown or shrunk since is not hidden by its
older outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from irplan import units
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.gestures import Prompt
from irplan.lesions.handwork import REPEAT_HIGH, REPEAT_LOW, KeptMask, PackedMask
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.plugins import kept_lesion
from irplan.volume import CtVolume

STAGE = "follow-up"

MASK_CARRIED = declare(
    "mask_carried",
    Severity.WARN,
    STAGE,
    "{lesion}: its mask ({how}) was laid into this scan by the registration, {carried_ml} mL "
    "({old_ml} mL before); looking at the image gives {image_ml} mL: look at its contour",
)
MASK_DIFFERS = declare(
    "carried_mask_differs",
    Severity.STOP,
    STAGE,
    "{lesion}: its mask, laid into this scan, holds {carried_ml} mL, and the image shows "
    "{image_ml} mL there, which is more apart than two readings of one lesion are: show it by a "
    "gesture or a mask on this scan, or say why the carried outline holds",
    forbids=Forbids.SIGNATURE,
    overridable=True,
)

#: How a mask came to be, in words.
_HOW = {
    LesionSource.IMPORTED: "imported",
    LesionSource.EDITED: "edited by hand",
    LesionSource.SEGMENTED: "made by a plug-in",
}


@dataclass(frozen=True)
class Laid:
    """A mask in the newer scan.

    Attributes:
        lesion: measured there.
        kept: what a plan keeps of it, so that it can be computed again.
    """

    lesion: Lesion
    kept: KeptMask


def is_kept_as_mask(lesion: Lesion) -> bool:
    """Whether a lesion's shape did not come from gestures and irplan's own segmenter."""
    own = lesion.source is LesionSource.SEGMENTED and not lesion.segmenter
    return lesion.mask is not None and not own


def kept_of(
    prompt: Prompt,
    mask: LesionMask,
    source: LesionSource,
    how: str,
    band_ml: tuple[Decimal, Decimal] | None = None,
) -> KeptMask:
    """A mask as a plan keeps it; the arguments are those of :func:`laid`."""
    ml = units.ml(mask.voxel_volume_ml)
    low, high = band_ml or (units.ml(ml * REPEAT_LOW), units.ml(ml * REPEAT_HIGH))
    packed = PackedMask.of(mask)
    return KeptMask(prompt.lesion_id, packed, how, source.value, min(low, ml), max(high, ml))


def laid(
    prompt: Prompt,
    mask: LesionMask,
    source: LesionSource,
    how: str,
    volume: CtVolume,
    body: BoolArray,
    label: int,
    band_ml: tuple[Decimal, Decimal] | None = None,
) -> Laid:
    """A mask on the newer scan as a measured lesion.

    Args:
        prompt: gestures that show it: its ellipsoid's diameters.
        how: where the mask comes from, for the plan.
        band_ml: low and high; where ``None``, the published spread of repeated readings.
    """
    kept = kept_of(prompt, mask, source, how, band_ml)
    return Laid(kept_lesion(prompt, kept, volume, body, label), kept)


def carried_band_ml(carried_ml: Decimal, image_ml: Decimal | None) -> tuple[Decimal, Decimal]:
    """The band of a carried mask: that of repeated readings, and wide enough for what is seen."""
    ends = [units.ml(carried_ml * REPEAT_LOW), units.ml(carried_ml * REPEAT_HIGH)]
    if image_ml is not None:
        ends.append(image_ml)
    return min(ends), max(ends)


def carried_findings(old: Lesion, carried_ml: Decimal, image_ml: Decimal | None) -> list[Finding]:
    """What is to be known of a carried mask; a stop where the image shows another size."""
    name = old.lesion_id
    told = {
        "lesion": name,
        "carried_ml": carried_ml,
        "image_ml": "no" if image_ml is None else image_ml,
    }
    found: list[Finding] = [
        MASK_CARRIED(name, how=_HOW.get(old.source, "made elsewhere"), old_ml=old.volume_ml, **told)
    ]
    near = image_ml is not None and REPEAT_LOW * carried_ml <= image_ml <= REPEAT_HIGH * carried_ml
    if not near:
        found.append(MASK_DIFFERS(name, **told))
    return found
