"""What one search sees: the labels around a lesion with the margin that each is to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

import numpy as np
import numpy.typing as npt

from irplan.anatomy import Anatomy
from irplan.anatomy.morphology import grown
from irplan.geometry import BoolArray, FloatArray
from irplan.lesions.lesion import LesionMask
from irplan.trajectory.constraints import Constraints
from irplan.trajectory.pleura import NO_LUNG_SIDE, LungSide, lung_side_of

#: An organ lies around a lesion where it makes up this share of the lesion's 3 mm shell.
HOST_SHARE = 0.25
HOST_SHELL_MM = 3.0
#: Before it crosses a lung, or meets a lesion in one, a path comes near it: the distance from that
#: lung is not asked on the last part of the way, as many times the distance as this (at 20° to
#: the pleura the distance is lost on about three times its length).
SKIM_LEAVE = 3.0
#: A lesion of the liver touches its capsule where as much of its shell lies outside the liver, mL
#: (vessels of the liver do not count). A ball of 8 mm does so up to 1.5 mm below the capsule.
CAPSULE_ML = 0.05
#: A lesion in one of these moves with the breath.
MOVING = ("liver*", "lung*", "kidney*", "spleen", "pancreas", "adrenal_gland*")


@dataclass(frozen=True)
class Margins:
    """What holds for each label of an anatomy, for one lesion and one way of working.

    Attributes:
        names: (n,) structure name of each label; '' for 0 and labels not in use.
        rules: (n,) name of the rule that holds; '' for what is no obstacle.
        margin_mm: (n,) least clearance; below 0 where the label is no obstacle.
        wanted_mm: (n,) clearance below which a path costs more; below 0 for no obstacle.
        is_lung, is_liver: (n,) flags.
        hosts: organs that may be crossed because the lesion lies in them.
        skim_mm: (n,) distance asked from a label that may be crossed, away from where the path
            crosses it; 0 for none.
        home: (n,) whether the lesion lies in a label: the distance is not asked near the lesion.
        kinds: (n,) name of the rule of every label, obstacle or not.
        side: (n,) 'left', 'right' or '': labels of one rule and side are crossed together.
        capsular: whether the lesion lies in the liver and touches its capsule.
        moves: whether the lesion lies in an organ that moves with the breath.
        in_lung: whether the lesion lies in the lung rather than in the liver below it.
        lung_side: what of the lesion lies on the lung's side of the pleura; nothing where more of
            another organ than lung lies around it.
        unknown: rules of which no structure is known and that every path is to tell of.
    """

    names: tuple[str, ...]
    rules: tuple[str, ...]
    margin_mm: FloatArray
    wanted_mm: FloatArray
    is_lung: BoolArray
    is_liver: BoolArray
    hosts: tuple[str, ...]
    skim_mm: FloatArray
    home: BoolArray
    kinds: tuple[str, ...]
    side: tuple[str, ...]
    capsular: bool = False
    moves: bool = False
    unknown: tuple[str, ...] = ()
    in_lung: bool = False
    lung_side: LungSide = NO_LUNG_SIDE

    def crossed_with(self, label: int) -> tuple[str, str]:
        """What is crossed together with a label: the lobes of one lung."""
        return self.kinds[label], self.side[label]

    @cached_property
    def skimmed(self) -> tuple[int, ...]:
        """Labels that a path which does not cross them keeps off."""
        return tuple(int(label) for label in np.flatnonzero(self.skim_mm > 0.0))

    @cached_property
    def lung_names(self) -> tuple[str, ...]:
        """Names of the labels that are lung."""
        return tuple(self.names[label] for label in np.flatnonzero(self.is_lung).tolist())

    @cached_property
    def liver_names(self) -> tuple[str, ...]:
        """Names of the labels that are liver."""
        return tuple(self.names[label] for label in np.flatnonzero(self.is_liver).tolist())

    @cached_property
    def named(self) -> tuple[int, ...]:
        """Labels that have a name."""
        return tuple(label for label in range(1, len(self.names)) if self.names[label])

    @property
    def obstacle(self) -> BoolArray:
        """(n,) whether a label is an obstacle."""
        return np.asarray(self.margin_mm >= 0)


def margins_for(
    anatomy: Anatomy, mask: LesionMask | None, constraints: Constraints, guidance: str
) -> Margins:
    """The margins of every label for a lesion (or none) and a way of working."""
    count = max((structure.label for structure in anatomy.structures), default=0) + 1
    names, rules = [""] * count, [""] * count
    margin = np.full(count, -1.0)
    wanted = np.full(count, -1.0)
    lung = np.zeros(count, dtype=bool)
    liver = np.zeros(count, dtype=bool)
    organ = np.zeros(count, dtype=bool)
    around, shell_ml = _shares_around(anatomy, mask, count)
    hosts = []
    skim = np.zeros(count)
    vessel = np.zeros(count, dtype=bool)
    rule_of: dict[str, str] = {}
    for structure in anatomy.structures:
        label = structure.label
        rule = constraints.rule_for(structure.name)
        rule_of[structure.name] = rule.name
        vessel[label] = rule.name == "large_vessels"
        names[label] = structure.name
        lung[label] = rule.name == "lung"
        liver[label] = rule.name == "liver"
        organ[label] = rule.name == "liver" or rule.host
        if rule.crossable:
            skim[label] = rule.margin(guidance)
            continue
        if rule.host and around[label] >= HOST_SHARE:
            hosts.append(structure.name)
            continue
        rules[label] = rule.name
        margin[label] = rule.margin(guidance)
        wanted[label] = max(float(rule.wanted_mm), margin[label])
    return Margins(
        tuple(names),
        tuple(rules),
        margin,
        wanted,
        lung,
        liver,
        tuple(hosts),
        skim,
        around >= HOST_SHARE,
        tuple(rule_of.get(name, "") for name in names),
        tuple(_side(name) for name in names),
        _touches_capsule(around, shell_ml, liver, vessel),
        any(_moves(name) and around[label] >= HOST_SHARE for label, name in enumerate(names)),
        tuple(
            rule.name
            for rule in constraints.structures
            if rule.tell_unknown and rule.name not in rule_of.values()
        ),
        _lies_in_lung(around, lung, liver),
        _lung_side(anatomy, mask, lung, float(around[lung].sum()), float(around[organ].sum())),
    )


def _lung_side(
    anatomy: Anatomy, mask: LesionMask | None, lung: BoolArray, in_lung: float, in_organ: float
) -> LungSide:
    """The lung's side of a lesion with these shares of lung and of other organs around it.

    A lesion at the top of liver or spleen has lung on every side of its upper part.
    """
    if mask is None or in_lung <= in_organ:
        return NO_LUNG_SIDE
    return lung_side_of(anatomy, mask, lung)


def _lies_in_lung(around: npt.NDArray[np.float64], lung: BoolArray, liver: BoolArray) -> bool:
    """Whether lung makes up much of a lesion's shell, and more of it than the liver does.

    A lesion of the liver's dome has lung on its other side.
    """
    in_lung, in_liver = float(around[lung].sum()), float(around[liver].sum())
    return in_lung >= HOST_SHARE and in_lung > in_liver


def _side(name: str) -> str:
    return next((side for side in ("left", "right") if side in name.lower()), "")


def _moves(name: str) -> bool:
    return any(fnmatchcase(name.lower(), pattern) for pattern in MOVING)


def _touches_capsule(
    around: npt.NDArray[np.float64], shell_ml: float, liver: BoolArray, vessel: BoolArray
) -> bool:
    """Whether a lesion with these shares around it lies in the liver and reaches its surface."""
    in_liver = float(around[liver].sum())
    outside = 1.0 - in_liver - float(around[vessel].sum())
    return bool(in_liver >= HOST_SHARE and outside * shell_ml >= CAPSULE_ML)


def _shares_around(
    anatomy: Anatomy, mask: LesionMask | None, count: int
) -> tuple[npt.NDArray[np.float64], float]:
    """Share of each label in the shell around a lesion, and the shell's volume in mL."""
    if mask is None:
        return np.zeros(count), 0.0
    room = [int(np.ceil(HOST_SHELL_MM / step)) + 1 for step in anatomy.grid.spacing_zyx_mm]
    box = tuple(
        slice(max(0, side.start - reach), min(size, side.stop + reach))
        for side, reach, size in zip(mask.slices_zyx, room, anatomy.labels.shape, strict=True)
    )
    inside = np.zeros(tuple(side.stop - side.start for side in box), dtype=bool)
    place = tuple(
        slice(side.start - outer.start, side.stop - outer.start)
        for side, outer in zip(mask.slices_zyx, box, strict=True)
    )
    inside[place] = mask.voxels
    shell = grown(inside, HOST_SHELL_MM, anatomy.grid.spacing_zyx_mm) & ~inside
    counts = np.bincount(anatomy.labels[box][shell], minlength=count)
    voxels = float(np.count_nonzero(shell))
    return np.asarray(counts / max(1.0, voxels)), voxels * anatomy.grid.voxel_ml
