"""How the patient lies: supine, prone, or on one side, and where down is.

DICOM LPS is fixed to the patient, so head first and feet first give the same coordinates: only
which way is down changes with the position (PS3.3 C.7.3.1.1.2).
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from irplan.errors import CallError
from irplan.geometry import FloatArray

#: Unit vector towards the feet-to-head axis of the patient, LPS.
HEAD = (0.0, 0.0, 1.0)


class PatientPosition(StrEnum):
    """How the patient lies; 'left' is on the left side."""

    SUPINE = "supine"
    PRONE = "prone"
    LEFT = "left"
    RIGHT = "right"

    @property
    def plumb(self) -> FloatArray:
        """Unit vector p straight down, LPS: supine +y, prone -y, left +x, right -x."""
        return np.array(_PLUMB[self])

    @classmethod
    def from_tag(cls, patient_position: str) -> PatientPosition | None:
        """The position behind PatientPosition (0018,5100), or None where the tag does not tell.

        'HFS', 'HFP', 'HFDL', 'HFDR' and the same with 'FF' (feet first) are understood. The
        sideways codes of other devices (LFP, AFDR and the like) are not: how those patients lie
        against the table of a CT is not known, so a person has to say.
        """
        tag = patient_position.strip().upper()
        if tag[:2] not in ("HF", "FF"):
            return None
        return _BY_SUFFIX.get(tag[2:])

    @classmethod
    def parse(cls, text: str) -> PatientPosition:
        """The position from the word of a call.

        Raises:
            CallError: not supine, prone, left or right.
        """
        try:
            return cls(text.strip().lower())
        except ValueError:
            raise CallError(
                "unknown_position",
                f"patient position '{text}' is not known",
                "give supine, prone, left (on the left side) or right",
            ) from None


_PLUMB = {
    PatientPosition.SUPINE: (0.0, 1.0, 0.0),
    PatientPosition.PRONE: (0.0, -1.0, 0.0),
    PatientPosition.LEFT: (1.0, 0.0, 0.0),
    PatientPosition.RIGHT: (-1.0, 0.0, 0.0),
}
_BY_SUFFIX = {
    "S": PatientPosition.SUPINE,
    "P": PatientPosition.PRONE,
    "DL": PatientPosition.LEFT,
    "DR": PatientPosition.RIGHT,
}


def feet_first(patient_position: str) -> bool | None:
    """Whether the patient lies feet towards the gantry; None where the tag does not tell."""
    return {"HF": False, "FF": True}.get(patient_position.strip().upper()[:2])
