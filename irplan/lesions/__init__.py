"""Lesions: from what a person draws, or a mask made elsewhere, to measured targets.

In: a CT in HU (:class:`~irplan.volume.CtVolume`), the patient's outline, and gestures (clicks and
diameters in LPS mm) or a file of masks. Out: :class:`~irplan.lesions.lesion.Lesion` values with
their voxels on the CT grid, volumes in mL with a band, lengths in mm, HU.

* gestures: clicks, diameters, boxes, scribbles and the file that holds them.
* segmentation: gestures to lesions; shape, crop, region, surface, border, kinds, certainty and
  tissue are its parts.
* masks: NRRD, NIfTI, MHA, DICOM SEG and RTSTRUCT to lesions.
* measurement: volume, diameters, depth, HU.
* editing: brush, threshold, fill, smooth, grow, split.
"""

from irplan.lesions.gestures import (
    Box,
    Click,
    Diameter,
    Prompt,
    Scribble,
    kind_from,
    prompts_from,
    read_clicks,
)
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask, LesionSource
from irplan.lesions.masks import import_masks
from irplan.lesions.measurement import measure_lesion
from irplan.lesions.segmentation import Segmentation, label_map, overlaps, segment, segment_one

__all__ = [
    "Box",
    "Click",
    "Diameter",
    "Lesion",
    "LesionKind",
    "LesionMask",
    "LesionSource",
    "Prompt",
    "Scribble",
    "Segmentation",
    "import_masks",
    "kind_from",
    "label_map",
    "measure_lesion",
    "overlaps",
    "prompts_from",
    "read_clicks",
    "segment",
    "segment_one",
]
