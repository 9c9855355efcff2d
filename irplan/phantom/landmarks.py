"""Points of the reference patient that can be found again at the second visit, LPS mm."""

from __future__ import annotations

LANDMARKS: dict[str, tuple[float, float, float]] = {
    "dome of the right diaphragm": (-60.0, -8.0, 80.0),
    "dome of the left diaphragm": (66.0, -4.0, 66.0),
    "branching of the portal vein": (-38.0, -18.0, 6.0),
    "confluence of the portal vein": (-6.0, -26.0, -30.0),
    "fundus of the gallbladder": (-58.0, -74.0, -46.0),
    "upper pole of the right kidney": (-62.0, 26.0, 4.0),
    "carina": (0.0, 16.0, 174.0),
    "jugular notch": (0.0, -28.0, 236.0),
    "bifurcation of the aorta": (4.0, -6.0, -120.0),
    "middle of T7": (0.0, 51.5, 136.5),
    "middle of L3": (0.0, 18.0, -90.0),
    "head of the right femur": (-90.0, 4.0, -290.0),
    "head of the left femur": (90.0, 4.0, -290.0),
}
