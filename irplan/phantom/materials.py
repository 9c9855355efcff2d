"""What the phantom is made of: HU, the name in the label map, and the group it is painted over.

HU are those of a portal venous phase at 120 kV, customary values of the field. Label names are
TotalSegmentator's class names where it has one of the same meaning.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: Groups that a shape can be told to paint over; a bit each in the renderer.
GROUPS = (
    "outside",
    "skin",
    "fat",
    "muscle",
    "inner_fat",
    "lung",
    "liver",
    "bone",
    "vessel",
    "bowel",
    "organ",
    "heart",
    "airway",
    "table",
)


@dataclass(frozen=True)
class Material:
    """One tissue: HU before noise, its label ('' for none) and its group."""

    hu: float
    label: str
    group: str


class MaterialTable:
    """Materials by number, in the order in which shapes first use them. 0 is the air outside."""

    def __init__(self) -> None:
        self._numbers: dict[Material, int] = {}
        self.number(-1000.0, "", "outside")

    def number(self, hu: float, label: str, group: str) -> int:
        """The number of the material; the same three values give the same number."""
        if group not in GROUPS:
            raise ValueError(f"unknown group: {group}")
        material = Material(float(hu), label, group)
        return self._numbers.setdefault(material, len(self._numbers))

    @property
    def hu(self) -> npt.NDArray[np.float32]:
        """HU by material number."""
        return np.array([one.hu for one in self._numbers], dtype=np.float32)

    @property
    def group(self) -> npt.NDArray[np.uint8]:
        """Group number by material number."""
        return np.array([GROUPS.index(one.group) for one in self._numbers], dtype=np.uint8)

    @property
    def label(self) -> npt.NDArray[np.uint8]:
        """Label number (:data:`LABELS`) by material number."""
        return np.array([LABELS.index(one.label) for one in self._numbers], dtype=np.uint8)


def _pairs(*names: str) -> list[str]:
    return [f"{name}_{side}" for name in names for side in ("left", "right")]


#: Names of the label map by number; 0 is the air outside the patient.
LABELS: tuple[str, ...] = (
    "",
    "skin",
    "subcutaneous_fat",
    "skeletal_muscle",
    "torso_fat",
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
    "trachea",
    "lung_vessels",
    "lung_trachea_bronchia",
    "heart",
    "aorta",
    "pulmonary_artery",
    "pulmonary_vein",
    "superior_vena_cava",
    "inferior_vena_cava",
    "brachiocephalic_trunk",
    *_pairs("brachiocephalic_vein", "subclavian_artery", "common_carotid_artery"),
    *_pairs("internal_jugular_vein", "axillary_vessels", "iliac_artery", "iliac_vena"),
    *_pairs("femoral_artery", "femoral_vein", "renal_vessels"),
    "portal_vein_and_splenic_vein",
    "celiac_and_mesenteric_vessels",
    "liver",
    "liver_vessels",
    "gallbladder",
    "spleen",
    *_pairs("kidney", "adrenal_gland"),
    "pancreas",
    "stomach",
    "duodenum",
    "small_bowel",
    "colon",
    "esophagus",
    "urinary_bladder",
    "prostate",
    "thyroid_gland",
    "spinal_cord",
    "intervertebral_discs",
    *(f"vertebrae_{name}" for name in ("C3", "C4", "C5", "C6", "C7")),
    *(f"vertebrae_T{number}" for number in range(1, 13)),
    *(f"vertebrae_L{number}" for number in range(1, 6)),
    "sacrum",
    *(f"rib_{side}_{number}" for side in ("left", "right") for number in range(1, 13)),
    "costal_cartilages",
    "sternum",
    *_pairs("clavicula", "scapula", "humerus", "hip", "femur"),
    *_pairs("autochthon", "iliopsoas", "gluteus_maximus", "gluteus_medius"),
    "table",
)
