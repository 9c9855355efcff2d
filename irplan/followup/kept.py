"""Masks that no gesture would give again: laid into the newer scan, or read again there.

A mask that was imported, edited by hand or made by a plug-in may have a shape that the segmenter
cannot find from an ellipsoid. So the segmenter reads the older scan too. Where it does not find the
mask there, or finds the same size on both scans, the mask is carried by the map of its lesion,
voxel for voxel, and what the image shows at its place stands beside it. Where it finds the mask on
the older scan and another size on the newer one, what it finds now stands: a lesion that has grown
or shrunk is not hidden by its older outline.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from irplan import units
from irplan.findings import Finding, Forbids, Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.gestures import Prompt
from irplan.lesions.handwork import REPEAT_HIGH, REPEAT_LOW, KeptMask, PackedMask
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.plugins import kept_lesion
from irplan.lesions.segmentation import shared_voxels
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

READ_AGAIN = declare(
    "lesion_read_again",
    Severity.WARN,
    STAGE,
    "{lesion}: its mask ({how}) holds {old_ml} mL on the older scan, where irplan's own segmenter "
    "reads {read_ml} mL (Dice {dice}); on this scan it reads {image_ml} mL, and that stands: the "
    "older outline laid here would hold {carried_ml} mL. Look at its contour",
)

#: The segmenter finds a mask again from this Dice with it on, where its volume is also this share
#: of the mask's. Settings: two readers of one nodule share 0.74 (IoU 0.59, LIDC), and a mask from
#: which a person took a quarter must not be filled up again.
FOUND_AGAIN_DICE = 0.8
FOUND_AGAIN_SHARE = (Decimal("0.80"), Decimal("1.25"))
#: A lesion whose volume the segmenter reads within these shares on both scans has not changed:
#: volumes repeat within 10 % on one scan (published, lung nodules).
UNCHANGED = (Decimal("0.90"), Decimal("1.10"))

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


@dataclass(frozen=True)
class Reading:
    """What the segmenter finds on the older scan from the ellipsoid of a mask there.

    Attributes:
        volume_ml: of what it finds.
        mask_ml: of the mask, in voxels.
        dice: of the two.
    """

    volume_ml: Decimal
    mask_ml: Decimal
    dice: float

    @classmethod
    def of(cls, found: Lesion, mask: LesionMask) -> Reading | None:
        """The reading of a lesion that was found, against the mask; None where it has no voxels."""
        if found.mask is None or found.volume_ml is None:
            return None
        count = int(np.count_nonzero(mask.voxels)) + int(np.count_nonzero(found.mask.voxels))
        dice = 2.0 * shared_voxels(found.mask, mask) / count
        return cls(found.volume_ml, units.ml(mask.voxel_volume_ml), dice)

    @property
    def finds_the_mask(self) -> bool:
        """Whether the segmenter can be asked about this lesion at all."""
        low, high = (share * self.mask_ml for share in FOUND_AGAIN_SHARE)
        return self.dice >= FOUND_AGAIN_DICE and low <= self.volume_ml <= high


def stands_now(reading: Reading | None, now: Lesion | None) -> bool:
    """Whether the segmenter's reading of now stands in place of the older mask."""
    if reading is None or now is None or now.volume_ml is None or not reading.finds_the_mask:
        return False
    low, high = (share * reading.volume_ml for share in UNCHANGED)
    return not low <= now.volume_ml <= high


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


def read_again_finding(
    old: Lesion, reading: Reading, carried_ml: Decimal, image_ml: Decimal
) -> Finding:
    """What is to be known of a lesion whose older mask gave way to what the image shows now."""
    return READ_AGAIN(
        old.lesion_id,
        lesion=old.lesion_id,
        how=_HOW.get(old.source, "made elsewhere"),
        old_ml=old.volume_ml,
        read_ml=reading.volume_ml,
        dice=units.quantize(reading.dice, Decimal("0.01")),
        image_ml=image_ml,
        carried_ml=carried_ml,
    )


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
