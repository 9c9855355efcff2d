"""What a person or a plug-in made that cannot be computed again from gestures: kept with the plan.

A hand edit is two sets of voxels over whatever the gestures or an imported mask give: those a
person put in and those they took out. A further gesture computes the lesion anew, and the hand's
work is laid over it again, so no gesture destroys it. Voxels are packed, one bit each, so a hundred
states of undo stay small and compare by value.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.geometry import BoolArray, GridGeometry, PointLps
from irplan.lesions.certainty import UNCERTAIN
from irplan.lesions.drawn import DrawnAxis, with_diameter, with_diameter_3d, with_short_axis
from irplan.lesions.editing import minus, union
from irplan.lesions.lesion import Lesion, LesionMask, LesionSource
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.sides import side_findings
from irplan.volume import CtVolume

#: How far volumes of one nodule read on two scans lie apart: -25 % and +29 % (published, lung
#: nodules). It stands in where nothing is known of how sure a mask is.
REPEAT_LOW, REPEAT_HIGH = Decimal("0.75"), Decimal("1.29")

EDITED = declare(
    "mask_edited",
    Severity.INFO,
    "lesions",
    "{lesion}: its mask was edited by hand: {added_ml} mL put in, {removed_ml} mL taken out",
)


@dataclass(frozen=True)
class PackedMask:
    """Voxels of a lesion or zone, one bit each; compares by value.

    Attributes:
        start: (i, j, k) of the box's first voxel in the CT grid.
        size: (columns, rows, slices) of the box.
        bits: the voxels in the order (z, y, x), packed as ``numpy.packbits`` does.
    """

    start: tuple[int, int, int]
    size: tuple[int, int, int]
    bits: bytes

    @classmethod
    def of(cls, mask: LesionMask) -> PackedMask:
        """A mask, packed."""
        depth, height, width = mask.voxels.shape
        bits = np.packbits(np.ascontiguousarray(mask.voxels)).tobytes()
        return cls(mask.start, (width, height, depth), bits)

    def mask(self, grid: GridGeometry) -> LesionMask:
        """The mask on the grid of its CT.

        Raises:
            ValueError: it does not fit the grid, or holds no voxel.
        """
        columns, rows, slices = self.size
        count = columns * rows * slices
        inside = all(
            start >= 0 and length > 0 and start + length <= whole
            for start, length, whole in zip(self.start, self.size, grid.size, strict=True)
        )
        if not inside or len(self.bits) != (count + 7) // 8:
            raise ValueError("packed voxels do not fit the grid")
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=count).astype(bool)
        if not flat.any():
            raise ValueError("packed voxels are empty")
        return LesionMask(flat.reshape(slices, rows, columns), self.start, grid)

    def document(self) -> dict[str, Any]:
        """As it stands in a JSON document; the bits in base64."""
        text = base64.b64encode(self.bits).decode("ascii")
        return {"start": list(self.start), "size": list(self.size), "bits": text}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> PackedMask:
        """The packed mask of a document.

        Raises:
            ValueError: it is none.
        """
        try:
            i, j, k = (int(value) for value in document["start"])
            columns, rows, slices = (int(value) for value in document["size"])
            bits = base64.b64decode(document["bits"], validate=True)
        except (KeyError, TypeError, binascii.Error) as error:
            raise ValueError(f"not a packed mask: {error}") from error
        return cls((i, j, k), (columns, rows, slices), bits)


@dataclass(frozen=True)
class HandEdit:
    """What a person put into a lesion and took out of it."""

    lesion_id: str
    added: PackedMask | None = None
    removed: PackedMask | None = None

    def then(self, before: LesionMask | None, after: LesionMask | None) -> HandEdit:
        """The edit that holds a further change, from one mask of the lesion to the next."""
        grid = _grid_of(before, after)
        put, took = minus(after, before), minus(before, after)
        own = _unpacked(self.added, grid), _unpacked(self.removed, grid)
        added = minus(_either(own[0], put), took)
        removed = minus(_either(own[1], took), put)
        return HandEdit(self.lesion_id, _packed(added), _packed(removed))

    def applied(self, mask: LesionMask | None, grid: GridGeometry) -> LesionMask | None:
        """The edit laid over a mask; ``None`` where nothing is left."""
        whole = _either(mask, _unpacked(self.added, grid))
        return minus(whole, _unpacked(self.removed, grid))

    def ml(self, grid: GridGeometry) -> tuple[Decimal, Decimal]:
        """What was put in and taken out, mL."""
        parts = [_unpacked(self.added, grid), _unpacked(self.removed, grid)]
        added, removed = (units.ml(0.0 if one is None else one.voxel_volume_ml) for one in parts)
        return added, removed

    def document(self) -> dict[str, Any]:
        """The edit as it stands in a JSON document."""
        return {
            "lesion_id": self.lesion_id,
            "added": None if self.added is None else self.added.document(),
            "removed": None if self.removed is None else self.removed.document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> HandEdit:
        """The edit of a document.

        Raises:
            ValueError, KeyError: it is none.
        """
        parts = (document["added"], document["removed"])
        added, removed = (None if one is None else PackedMask.from_document(one) for one in parts)
        return cls(str(document["lesion_id"]), added, removed)


@dataclass(frozen=True)
class KeptMask:
    """A lesion's mask that nobody can compute again from gestures: a plug-in's, or a carried one.

    Attributes:
        segmenter: name and version of the plug-in, or where else the mask comes from.
        source: '' for a plug-in's; else the lesion's source: imported, edited or segmented.
        low_ml, high_ml: the volume band of a mask with a source; ``None`` for a plug-in's.
    """

    lesion_id: str
    mask: PackedMask
    segmenter: str
    source: str = ""
    low_ml: Decimal | None = None
    high_ml: Decimal | None = None

    def document(self) -> dict[str, Any]:
        """The mask as it stands in a JSON document."""
        return {
            "lesion_id": self.lesion_id,
            "segmenter": self.segmenter,
            **(
                {"source": self.source, "band_ml": [self.low_ml, self.high_ml]}
                if self.source
                else {}
            ),
            "mask": self.mask.document(),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KeptMask:
        """The mask of a document.

        Raises:
            ValueError, KeyError: it is none.
        """
        mask = PackedMask.from_document(document["mask"])
        named = (str(document["lesion_id"]), mask, str(document["segmenter"]))
        if "source" not in document:
            return cls(*named)
        low, high = (Decimal(value) for value in document["band_ml"])
        return cls(*named, str(document["source"]), low, high)


@dataclass(frozen=True)
class DrawnDiameter:
    """A diameter of a lesion as a person drew it, LPS mm."""

    lesion_id: str
    start_lps_mm: PointLps
    end_lps_mm: PointLps
    axis: DrawnAxis = DrawnAxis.LONGEST


@dataclass(frozen=True)
class Place:
    """Site and side of a lesion as a person named them; '' is not said."""

    lesion_id: str
    site: str = ""
    side: str = ""


def edited_lesion(
    lesion: Lesion,
    edit: HandEdit,
    mask: LesionMask,
    volume: CtVolume,
    body: BoolArray | None,
) -> Lesion:
    """A lesion with the mask that a person edited, measured anew; its source is ``edited``.

    The volume is that of the voxels. The band keeps the relative width that it had; where there was
    none, the published spread of repeated readings stands in.
    """
    volume_ml = units.ml(mask.voxel_volume_ml)
    low, high = _band(lesion)
    added, removed = edit.ml(mask.grid)
    name = lesion.lesion_id
    # What was told of the segmented mask no longer holds.
    gone = (EDITED.code, UNCERTAIN.code)
    kept = tuple(one for one in lesion.findings if one.code not in gone)
    told: Finding = EDITED(name, lesion=name, added_ml=added, removed_ml=removed)
    changed = replace(
        lesion,
        source=LesionSource.EDITED,
        mask=mask,
        volume_ml=volume_ml,
        volume_low_ml=units.ml(volume_ml * low),
        volume_high_ml=units.ml(volume_ml * high),
        certainty=None,
        border_seen_share=None,
        findings=(*kept, told),
    )
    return measure_lesion(changed, volume, body)


def _band(lesion: Lesion) -> tuple[Decimal, Decimal]:
    volume, low, high = lesion.volume_ml, lesion.volume_low_ml, lesion.volume_high_ml
    if volume is None or low is None or high is None or not low < volume < high:
        return REPEAT_LOW, REPEAT_HIGH
    return low / volume, high / volume


def placed(lesion: Lesion, place: Place, volume: CtVolume, body: BoolArray | None) -> Lesion:
    """A lesion with the site and side that a person named; the side is checked."""
    side = place.side
    named = replace(
        lesion, site=place.site or lesion.site, side=side, side_source="given" if side else ""
    )
    return named if lesion.mask is None else side_findings(named, volume, body)


def with_drawn(lesion: Lesion, drawn: DrawnDiameter) -> Lesion:
    """A lesion with a diameter that a person drew."""
    return _DRAW[drawn.axis](lesion, drawn.start_lps_mm, drawn.end_lps_mm)


_DRAW = {
    DrawnAxis.LONGEST: with_diameter,
    DrawnAxis.SHORT: with_short_axis,
    DrawnAxis.WHOLE: with_diameter_3d,
}


def _grid_of(*masks: LesionMask | None) -> GridGeometry:
    for mask in masks:
        if mask is not None:
            return mask.grid
    raise ValueError("a change from nothing to nothing")


def _either(first: LesionMask | None, second: LesionMask | None) -> LesionMask | None:
    if first is None or second is None:
        return first or second
    return union(first, second)


def _packed(mask: LesionMask | None) -> PackedMask | None:
    return None if mask is None else PackedMask.of(mask)


def _unpacked(packed: PackedMask | None, grid: GridGeometry) -> LesionMask | None:
    return None if packed is None else packed.mask(grid)
