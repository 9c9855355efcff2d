"""The zone that a person painted: a structure that no needle may enter, whatever lies there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from irplan import units
from irplan.anatomy.structure import Anatomy, LabelArray, Structure
from irplan.findings import Finding, Severity, declare
from irplan.lesions.lesion import Lesion, LesionMask
from irplan.lesions.segmentation import shared_voxels

#: Its name; where an imported label map uses it already, the second one is taken.
NAMES = ("no_go", "no_go_painted")

LESION_IN_NO_GO = declare(
    "lesion_in_no_go",
    Severity.WARN,
    "anatomy",
    "{lesion} and the painted no-go zone share {ml} mL; no needle goes there",
)


def with_no_go(anatomy: Anatomy, zone: LesionMask, lesions: Iterable[Lesion] = ()) -> Anatomy:
    """The anatomy with a painted zone over everything else.

    Args:
        anatomy: as found.
        zone: on the same grid.
        lesions: told of where they share voxels with the zone; the zone keeps them.

    Raises:
        ValueError: the zone lies on another grid.
    """
    if not zone.grid.same_grid(anatomy.grid):
        raise ValueError("the painted zone lies on another grid than the anatomy")
    label = max((one.label for one in anatomy.structures), default=0) + 1
    wide = label > np.iinfo(anatomy.labels.dtype).max
    labels: LabelArray = anatomy.labels.astype(np.uint16) if wide else anatomy.labels.copy()
    covered = np.bincount(labels[zone.slices_zyx][zone.voxels], minlength=label + 1)
    labels[zone.slices_zyx][zone.voxels] = label
    left = []
    for one in anatomy.structures:
        lost = units.ml(float(covered[one.label]) * anatomy.grid.voxel_ml)
        if not lost:
            left.append(one)
        elif one.volume_ml > lost:
            left.append(replace(one, volume_ml=one.volume_ml - lost))
    name = NAMES[1] if NAMES[0] in anatomy.names else NAMES[0]
    painted = Structure(name, label, units.ml(zone.voxel_volume_ml), "imported", "painted by hand")
    return replace(
        anatomy,
        labels=labels,
        structures=(*left, painted),
        findings=(*anatomy.findings, *_shared(zone, lesions)),
    )


def _shared(zone: LesionMask, lesions: Iterable[Lesion]) -> list[Finding]:
    found = []
    for one in lesions:
        count = 0 if one.mask is None else shared_voxels(zone, one.mask)
        if count:
            ml = units.ml(count * zone.grid.voxel_ml)
            found.append(LESION_IN_NO_GO(one.lesion_id, lesion=one.lesion_id, ml=ml))
    return found
