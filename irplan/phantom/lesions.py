"""The lesions of the made-up patient at both visits, and the truth about each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from irplan.geometry import FloatArray, PointLps
from irplan.phantom.motion import VISITS
from irplan.phantom.shapes import Lobe, StarShape


@dataclass(frozen=True)
class LesionPlan:
    """One lesion of the reference patient.

    Attributes:
        centre_mm: in the reference patient, LPS mm; the lesion follows it with the breath.
        form: its shape up to scale; ``volumes_ml`` by visit, None where it is not there.
        hu: enhanced tissue; ``core_hu`` of a necrotic core, ``core_share`` its share of the
            volume (the same form, scaled).
        guidance: what a radiologist would use.
    """

    lesion_id: str
    label: int
    name: str
    kind: str
    site: str
    side: str
    centre_mm: PointLps
    form: StarShape
    volumes_ml: tuple[float | None, float | None]
    hu: float
    guidance: str
    core_share: float = 0.0
    core_hu: float = 22.0


def _tilt(about_x: float, about_y: float, about_z: float) -> tuple[float, ...]:
    a, b, c = np.radians([about_x, about_y, about_z])
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return tuple((z @ y @ x).ravel().tolist())


_KNOBS = (
    Lobe((1.0, 0.3, 0.2), 0.28, 5.0),
    Lobe((-0.6, 0.8, 0.1), 0.22, 6.0),
    Lobe((-0.2, -0.7, 0.7), 0.25, 5.0),
    Lobe((0.1, 0.2, -1.0), -0.12, 4.0),
)
_BUMPS = (
    Lobe((0.8, -0.5, 0.3), 0.3, 7.0),
    Lobe((-0.9, -0.2, 0.4), 0.24, 7.0),
    Lobe((0.1, 0.9, -0.4), 0.26, 7.0),
    Lobe((0.3, 0.2, 0.95), 0.2, 7.0),
    Lobe((-0.3, 0.5, 0.8), -0.1, 5.0),
)

PLANS: tuple[LesionPlan, ...] = (
    LesionPlan(
        "L1", 1, "axillary node", "node", "axilla", "left", (139.0, 4.0, 206.0),
        StarShape((12.5, 8.5, 10.0), _tilt(10, 25, -30)), (4.2, 2.4), 88.0, "ultrasound",
    ),
    LesionPlan(
        "L2", 2, "inguinal node", "node", "groin", "right", (-74.0, -78.0, -306.0),
        StarShape((8.0, 7.0, 12.5), _tilt(0, 20, 15)), (3.0, 3.9), 92.0, "ultrasound",
    ),
    LesionPlan(
        "L3", 3, "in-transit metastasis", "skin", "abdominal wall", "left", (84.0, -76.0, -112.0),
        StarShape((8.5, 6.0, 7.5), _tilt(0, 0, 35)), (1.5, 0.9), 72.0, "palpation",
    ),
    LesionPlan(
        "L4", 4, "subcutaneous metastasis", "skin", "back", "right", (-82.0, 73.0, -20.0),
        StarShape((7.5, 5.5, 7.0), _tilt(0, 0, 35)), (1.1, None), 68.0, "palpation",
    ),
    LesionPlan(
        "L5", 5, "liver metastasis, necrotic", "liver", "liver", "right", (-92.0, 2.0, 8.0),
        StarShape((15.0, 13.0, 14.0), _tilt(20, 10, 40), _KNOBS), (13.5, 10.2), 72.0, "ct",
        core_share=0.28,
    ),
    LesionPlan(
        "L6", 6, "liver metastasis", "liver", "liver", "right", (-52.0, -58.0, 14.0),
        StarShape((12.0, 10.0, 11.0), _tilt(5, 15, 60)), (5.4, 7.0), 66.0, "ct",
    ),
    LesionPlan(
        "L7", 7, "lung metastasis", "lung", "lung", "left", (88.0, 34.0, 148.0),
        StarShape((10.0, 9.0, 9.5), _tilt(0, 0, 20), _BUMPS), (4.6, 3.1), 58.0, "ct",
    ),
    LesionPlan(
        "L8", 8, "in-transit metastasis, new", "skin", "abdominal wall", "right",
        (-96.0, -68.0, -150.0),
        StarShape((7.0, 5.5, 8.0), _tilt(0, 0, -35)), (None, 1.2), 74.0, "palpation",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class LesionTruth:
    """The truth about one lesion at one visit.

    Attributes:
        centre_lps_mm: of its form; ``shape`` holds offsets from there.
        volume_ml: exact to 1e-6 of itself; of it ``necrotic_ml`` is core.
        depth_below_skin_mm: from the skin to the lesion's nearest border.
        entry_lps_mm: a point of the skin from which a straight way to the centre meets no bone,
            vessel or bowel.
    """

    lesion_id: str
    label: int
    name: str
    kind: str
    site: str
    side: str
    guidance: str
    centre_lps_mm: PointLps
    shape: StarShape
    volume_ml: float
    hu: float
    core: StarShape | None = None
    core_hu: float = 0.0

    @property
    def necrotic_ml(self) -> float:
        """Volume of the necrotic core, mL."""
        return 0.0 if self.core is None else self.core.volume_ml

    def contains(self, points_lps_mm: FloatArray) -> np.ndarray:
        """Whether points (..., 3), LPS mm, lie in the lesion."""
        return self.shape.contains(np.asarray(points_lps_mm) - np.asarray(self.centre_lps_mm))


def lesions_at(timepoint: int) -> tuple[LesionTruth, ...]:
    """The lesions that are there at a visit, by rising label.

    A lesion's centre moves with the patient and the breath; its form turns with the patient and
    is not deformed, so that its volume stays exact.
    """
    motion = VISITS[timepoint]
    found = []
    for plan in PLANS:
        volume_ml = plan.volumes_ml[timepoint - 1]
        if volume_ml is None:
            continue
        shape = plan.form.scaled_to(volume_ml).turned(motion.rotation)
        core = shape.scaled_to(volume_ml * plan.core_share) if plan.core_share else None
        x, y, z = motion.from_reference(plan.centre_mm).tolist()
        found.append(
            LesionTruth(
                plan.lesion_id,
                plan.label,
                plan.name,
                plan.kind,
                plan.site,
                plan.side,
                plan.guidance,
                (x, y, z),
                shape,
                volume_ml,
                plan.hu,
                core,
                plan.core_hu,
            )
        )
    return tuple(found)
