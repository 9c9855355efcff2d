"""Two CTs of one patient laid over each other: rigidly as a whole, then locally around a lesion.

In: an older and a newer :class:`~irplan.volume.CtVolume` with the patients' outlines. Out: maps
from points of the older scan (LPS mm) to points of the newer one (LPS mm), each with an estimate
of its error in mm and how it was estimated, and findings where it cannot be trusted.

* grids: HU laid on coarse, regular grids along the patient's axes.
* shift: every translation looked at, by masked correlation.
* engine: the optimisers of SimpleITK, on one thread and with fixed samples: the same inputs give
  the same numbers whatever the number of processors.
* whole: the rigid registration of the whole scans.
* local: the rigid and deformable registration around a lesion, both ways.
* maps: the maps themselves.
* identity: whether both scans say that they show the same patient.
"""

from irplan.registration.identity import identity_findings
from irplan.registration.local import LocalRegistration, register_lesion
from irplan.registration.maps import LocalMap, RigidMap
from irplan.registration.whole import WholeRegistration, register_whole

__all__ = [
    "LocalMap",
    "LocalRegistration",
    "RigidMap",
    "WholeRegistration",
    "identity_findings",
    "register_lesion",
    "register_whole",
]
