"""Names of structures: TotalSegmentator's classes, what matters to a needle, which name wins.

The class names and numbers are those of TotalSegmentator 2, task 'total' (117 classes).
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_SIDES_RL = ("right", "left")
_SIDES_LR = ("left", "right")


def _total_classes() -> dict[int, str]:
    names = ["spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach"]
    names += ["pancreas", "adrenal_gland_right", "adrenal_gland_left"]
    names += ["lung_upper_lobe_left", "lung_lower_lobe_left"]
    names += [f"lung_{lobe}_lobe_right" for lobe in ("upper", "middle", "lower")]
    names += ["esophagus", "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon"]
    names += ["urinary_bladder", "prostate", "kidney_cyst_left", "kidney_cyst_right", "sacrum"]
    names += ["vertebrae_S1"]
    names += [f"vertebrae_L{number}" for number in range(5, 0, -1)]
    names += [f"vertebrae_T{number}" for number in range(12, 0, -1)]
    names += [f"vertebrae_C{number}" for number in range(7, 0, -1)]
    names += ["heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk"]
    names += [f"subclavian_artery_{side}" for side in _SIDES_RL]
    names += [f"common_carotid_artery_{side}" for side in _SIDES_RL]
    names += [f"brachiocephalic_vein_{side}" for side in _SIDES_LR]
    names += ["atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava"]
    names += ["portal_vein_and_splenic_vein"]
    paired = ["iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip"]
    names += [f"{name}_{side}" for name in paired for side in _SIDES_LR]
    names += ["spinal_cord"]
    muscles = ["gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas"]
    names += [f"{name}_{side}" for name in muscles for side in _SIDES_LR]
    names += ["brain", "skull"]
    names += [f"rib_{side}_{number}" for side in _SIDES_LR for number in range(1, 13)]
    names += ["sternum", "costal_cartilages"]
    return dict(enumerate(names, 1))


#: Label → class name of TotalSegmentator 2, task 'total'.
TOTAL_CLASSES = _total_classes()

#: What a needle must not meet, by the name under which it is missed, and the names that stand
#: for it. Where none of them is there, the structure is unknown. It is never called absent.
MATTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("heart", ("heart*",)),
    (
        "great_vessels",
        (
            "aorta",
            "artery",
            "vessels",
            "great_thoracic_vessels",
            "superior_vena_cava",
        ),
    ),
    # Contrast that fills the aorta often leaves the lower cava as dark as the gut around it.
    ("inferior_vena_cava", ("inferior_vena_cava", "venoussystem")),
    (
        "neck_vessels",
        ("common_carotid*", "carotid*", "internal_jugular*", "jugular*", "neck_vessels"),
    ),
    ("portal_and_hepatic_veins", ("portal_vein*", "portalvein", "liver_vessels")),
    ("iliac_vessels", ("iliac_*",)),
    # Beside the nodes that are injected most.
    ("axillary_vessels", ("axillary_*",)),
    ("femoral_vessels", ("femoral_artery*", "femoral_vein*", "femoral_vessels*")),
    ("trachea", ("trachea", "airways", "lung_trachea_bronchia")),
    ("lungs", ("lung*",)),
    ("bone", ("bone*", "rib_*", "vertebra*", "hip_*", "skull")),
    ("costal_cartilage", ("costal_cartilage*",)),
    ("esophagus", ("esophagus",)),
    ("stomach", ("stomach",)),
    ("bowel_with_gas", ("bowel_gas", "colon", "small_bowel")),
    ("bowel_without_gas", ("colon", "small_bowel", "bowel")),
    ("liver", ("liver",)),
    ("gallbladder", ("gallbladder",)),
    ("bile_ducts", ("bile_duct*",)),
    ("spleen", ("spleen",)),
    ("kidney_left", ("kidney_left", "kidney", "kidneys")),
    ("kidney_right", ("kidney_right", "kidney", "kidneys")),
    ("adrenal_glands", ("adrenal_gland*",)),
    ("pancreas", ("pancreas",)),
    ("urinary_bladder", ("urinary_bladder", "bladder")),
    ("spinal_canal", ("spinal_cord", "spinal_canal")),
    ("nerves", ("nerve*", "brachial_plexus*")),
    ("breast", ("breast*", "mamma*")),
    ("lung_fissures", ("fissure*", "lung_upper_lobe*")),
    ("diaphragm", ("diaphragm*",)),
)

#: First fits win where structures overlap: what must be avoided with most care comes first.
_CARE = (
    ("no_go*",),
    ("heart*", "atrial_appendage*"),
    (
        "aorta",
        "*vena_cava",
        "*artery*",
        "*vein*",
        "iliac_ve*",
        "great_thoracic_vessels",
        "neck_vessels",
        "portalvein",
        "venoussystem",
        "vessels*",
        "brachiocephalic*",
    ),
    ("spinal_cord", "spinal_canal", "brain"),
    (
        "bone*",
        "rib_*",
        "vertebra*",
        "sternum",
        "skull",
        "sacrum",
        "hip_*",
        "scapula*",
        "clavicula*",
    ),
    ("trachea", "airways"),
    ("bowel*", "colon", "small_bowel", "duodenum", "stomach", "esophagus"),
    ("gallbladder",),
)


def care(name: str) -> int:
    """How much care a structure needs where it overlaps another: lower wins."""
    for rank, patterns in enumerate(_CARE):
        if any(fnmatchcase(name.lower(), pattern) for pattern in patterns):
            return rank
    if name.startswith(("lung_bulla", "lung_fissure")):  # shown on the lung that they lie in
        return len(_CARE)
    if name.startswith("arm_"):  # all that lies in an arm stays what it is
        return len(_CARE) + 2
    return len(_CARE) + (1 if name.startswith(("body", "lung", "liver", "muscle", "fat")) else 0)


def unknown_among(names: tuple[str, ...]) -> tuple[str, ...]:
    """The structures that matter and that none of ``names`` stands for."""
    present = tuple(name.lower() for name in names)
    return tuple(
        missed
        for missed, patterns in MATTERS
        if not any(fnmatchcase(name, pattern) for name in present for pattern in patterns)
    )


def keeps_lesion_voxels(name: str) -> bool:
    """Whether a structure keeps the voxels that a lesion claims too.

    Bone, heart and vessels do: a lesion drawn over them must not open a way through them.
    """
    rank = care(name)
    return rank <= 5
