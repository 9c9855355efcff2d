"""Colours of marks, shared by the report, the window and pictures on disk.

A colour never stands alone: words or a legend stand beside it.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

#: Role of a mark → colour as '#RRGGBB'.
ROLE_COLOURS: dict[str, str] = {
    "lesion": "#FF9A1F",
    "other_lesion": "#F6E27A",
    "structure": "#6EC6FF",
    "needle": "#66FF66",
    "entry": "#66FF66",
    "tip": "#66FF66",
    "deposit": "#FF6BE8",
    "spread": "#FF6BE8",
    "biopsy": "#35F2FF",
    "ring": "#FFFFFF",
    "grid": "#A9D4FF",
    "point": "#0B3FB0",
    "midline": "#FF9A90",
    "landmark": "#DDB8FF",
    "bone": "#FFF3D0",
    "vessel": "#FF6A5A",
    "air": "#C3A6FF",
    "bowel": "#D8A36A",
    "organ": "#7FD6A8",
    "nerve": "#FFE94A",
    "no_go": "#FF3030",
}

#: Width of lines by role, points at the report's size.
ROLE_WIDTHS: dict[str, float] = {
    "lesion": 1.3,
    "other_lesion": 0.7,
    "structure": 0.9,
    "needle": 1.4,
    "spread": 0.5,
    "biopsy": 2.2,
    "ring": 0.5,
    "grid": 0.35,
    "midline": 0.9,
    "point": 1.6,
}

#: Structures by kind, the first that fits; what fits none is an organ.
_KINDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("no_go", ("no_go*",)),
    ("bone", ("bone*", "rib_*", "vertebra*", "sternum", "scapula*", "clavicula*", "humerus*",
              "hip_*", "femur*", "sacrum", "skull", "costal_cartilage*")),
    ("vessel", ("*vessels*", "heart*", "aorta", "*vena_cava", "*artery*", "*vein*", "iliac_*",
                "portal*", "carotid*", "jugular*", "brachiocephalic*", "subclavian*",
                "venoussystem", "dense_tissue", "pulmonary_*")),
    ("nerve", ("nerve*", "*_nerve", "brachial_plexus*", "spinal_*")),
    ("air", ("lung*", "trachea", "airways", "bronch*")),
    ("bowel", ("bowel*", "colon", "small_bowel", "duodenum", "stomach", "esophagus", "rectum")),
)  # fmt: skip

#: Kind → how a legend calls it.
KIND_WORDS: dict[str, str] = {
    "bone": "bone, cartilage",
    "vessel": "vessels, heart",
    "air": "lung, airway",
    "bowel": "bowel, stomach",
    "organ": "other organ",
    "nerve": "nerves, spinal canal",
    "no_go": "no-go zone",
}


def kind_of(structure: str) -> str:
    """The kind by which a structure is coloured; one of :data:`KIND_WORDS`."""
    low = structure.lower()
    for kind, patterns in _KINDS:
        if any(fnmatchcase(low, pattern) for pattern in patterns):
            return kind
    return "organ"


def rgb_of(role: str) -> tuple[int, int, int]:
    """The colour of a role, 0-255."""
    text = ROLE_COLOURS[role].lstrip("#")
    return int(text[0:2], 16), int(text[2:4], 16), int(text[4:6], 16)
