"""Reading: DICOM files in, one trusted CT volume out, or the reasons why not.

In: files, folders, DICOMDIR, ZIP. Out: :func:`scan` lists what they hold with findings (codes with
the consequence info, warn or stop); :func:`read_entry` gives the voxels of one usable entry in HU
(int16, z, y, x) on a regular grid in patient LPS mm. Geometry comes from ImagePositionPatient,
ImageOrientationPatient and PixelSpacing alone (DICOM PS3.3, C.7.6.2); HU from RescaleSlope and
RescaleIntercept of each image (C.11.1). Nothing is repaired silently.
"""

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
