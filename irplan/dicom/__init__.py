"""Reading: DICOM files in, one trusted CT volume out, or the reasons why not.

In: files, folders, DICOMDIR, ZIP. Out: :func:`scan` lists what they hold with findings (codes with
the consequence info, warn or stop); :func:`read_entry` gives the voxels of one usable entry in HU
(int16, z, y, x) on a regular grid in patient LPS mm. Geometry comes from ImagePositionPatient,
ImageOrientationPatient and PixelSpacing alone (DICOM PS3.3, C.7.6.2); HU from RescaleSlope and
RescaleIntercept of each image (C.11.1). Nothing is repaired silently.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from irplan.dicom.identity import NEEDS_CONFIRMATION
    from irplan.dicom.study import ScanResult, SeriesEntry, scan
    from irplan.dicom.volumes import choose, read_entry

__all__ = [
    "NEEDS_CONFIRMATION",
    "ScanResult",
    "SeriesEntry",
    "choose",
    "read_entry",
    "scan",
]

_WHERE = {
    "NEEDS_CONFIRMATION": "identity",
    "ScanResult": "study",
    "SeriesEntry": "study",
    "choose": "volumes",
    "read_entry": "volumes",
    "scan": "study",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: helper processes start faster with their own modules alone."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
