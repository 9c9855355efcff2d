"""A made-up patient: an analytic CT from neck to pelvis with lesions of exactly known volume.

In: a :class:`PhantomSpec` (grid, visit, noise, position of the patient). Out: a
:class:`Phantom`: HU on a :class:`~irplan.geometry.GridGeometry`, the label map of the anatomy and
of the lesions on the same grid, and the truth about every lesion (mL, LPS mm). The anatomy is a
list of shapes in patient LPS millimetres (:mod:`irplan.phantom.scene`), so any grid can be cut
from it; nothing in it is taken from a real patient.
"""

from irplan.phantom.build import build_phantom
from irplan.phantom.dicom import write_dicom
from irplan.phantom.lesions import LesionTruth
from irplan.phantom.spec import Phantom, PhantomSpec
from irplan.phantom.truth import write_truth

__all__ = [
    "LesionTruth",
    "Phantom",
    "PhantomSpec",
    "build_phantom",
    "write_dicom",
    "write_truth",
]
