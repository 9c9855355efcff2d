"""The site of a lesion as the anatomy tells it: a proposal that a person confirms, never more.

What is told: an organ that surrounds the lesion (lung, liver, spleen, kidney), the fat under the
skin, and for a node the axilla or the groin. Everything else stays unknown. Nothing is written into
``site``: the proposal stands beside it until a person names the site. Shares and distances are
customary settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

import edt
import numpy as np
import numpy.typing as npt

from irplan import units
from irplan.findings import Severity, declare
from irplan.geometry import BoolArray
from irplan.lesions.lesion import Lesion, LesionKind, LesionMask
from irplan.volume import CtVolume

STAGE = "lesions"

SITE_PROPOSED = declare(
    "site_proposed",
    Severity.INFO,
    STAGE,
    "{lesion}: '{site}' is proposed as its site ({why}): confirm it",
)

#: The lesion's surroundings, from this to that distance outside it, mm.
SHELL_MM = (1.0, 6.0)
#: A lesion lies in what makes up this share of them.
HOST_SHARE = 0.6
#: Fat, HU; and how deep the middle of a subcutaneous lesion lies at most, mm.
FAT_HU = (-150.0, -30.0)
SUBCUTANEOUS_MM = 20.0
#: A node of the axilla lies at the height of the upper part of the lungs, beside them.
AXILLA_PART = 0.5
#: A node of the groin lies below the lowest iliac vessel seen, no farther than this, mm.
GROIN_MM = 100.0
#: Fewer voxels of a structure are no landmark.
LEAST_VOXELS = 200

_ORGANS = (
    ("lung", ("lung*",)),
    ("liver", ("liver", "liver_segment*")),
    ("spleen", ("spleen",)),
    ("kidney", ("kidney*",)),
)

Labels = npt.NDArray[np.unsignedinteger]


def with_site_proposals(
    lesions: Iterable[Lesion], volume: CtVolume, labels: Labels, names: Mapping[int, str]
) -> tuple[Lesion, ...]:
    """The lesions, each with the site that its surroundings tell where nobody named one.

    Args:
        volume: the CT.
        labels: (z, y, x) on its grid, 0 where nothing is labelled.
        names: label → name of its structure.
    """
    made = []
    for one in lesions:
        kept = tuple(f for f in one.findings if f.code != SITE_PROPOSED.code)
        found = None
        if not one.site and one.mask is not None:
            found = _site(one, one.mask, volume, labels, names)
        if found is None:
            made.append(replace(one, site_proposed="", findings=kept))
            continue
        site, why = found
        note = SITE_PROPOSED(one.lesion_id, lesion=one.lesion_id, site=site, why=why)
        made.append(replace(one, site_proposed=site, findings=(*kept, note)))
    return tuple(made)


def _site(
    lesion: Lesion,
    mask: LesionMask,
    volume: CtVolume,
    labels: Labels,
    names: Mapping[int, str],
) -> tuple[str, str] | None:
    """The site and what it rests on; ``None`` where it cannot be told."""
    spans, shell = _shell(mask)
    near = labels[spans][shell]
    if not near.size:
        return None
    for site, patterns in _ORGANS:
        own = [label for label, name in names.items() if _fits(name, patterns)]
        share = float(np.isin(near, own).mean())
        if own and share >= HOST_SHARE:
            return site, f"{round(100 * share)} % of what surrounds it is {site}"
    hu = volume.hu[spans][shell]
    fat = float(np.mean((hu >= FAT_HU[0]) & (hu <= FAT_HU[1])))
    if lesion.kind is LesionKind.NODE:
        return _region_of_node(lesion, volume, labels, names)
    depth = lesion.depth_below_skin_mm
    radius = (lesion.diameter_3d_mm or 0.0) / 2.0
    unsure = any(one.code == "depth_at_most" for one in lesion.findings)
    if depth is not None and not unsure and depth + radius <= SUBCUTANEOUS_MM and fat >= HOST_SHARE:
        told = f"{round(100 * fat)} % of what surrounds it is fat, {units.mm(depth)} mm under skin"
        return "subcutaneous tissue", told
    return None


def _region_of_node(
    lesion: Lesion, volume: CtVolume, labels: Labels, names: Mapping[int, str]
) -> tuple[str, str] | None:
    """Axilla or groin, by the lungs and the iliac vessels; ``None`` where neither tells."""
    if lesion.centroid_lps_mm is None:
        return None
    x, _, z = lesion.centroid_lps_mm
    lungs = _extent(volume, labels, names, ("lung*",))
    if lungs is not None:
        low, high = lungs
        upper = high[2] - AXILLA_PART * (high[2] - low[2])
        if upper <= z <= high[2] and (x < low[0] or x > high[0]):
            return "axillary lymph node", "it lies beside the upper part of the lungs"
    vessels = _extent(volume, labels, names, ("iliac_*",))
    if vessels is not None and vessels[0][2] - GROIN_MM <= z < vessels[0][2]:
        return "inguinal lymph node", "it lies below the iliac vessels"
    return None


def _extent(
    volume: CtVolume, labels: Labels, names: Mapping[int, str], patterns: tuple[str, ...]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Lowest and highest x, y and z of structures, LPS mm; ``None`` where they are not seen."""
    own = [label for label, name in names.items() if _fits(name, patterns)]
    if not own:
        return None
    chosen = np.zeros(int(np.iinfo(labels.dtype).max) + 1, dtype=bool)
    chosen[own] = True
    seen = chosen[labels]
    if np.count_nonzero(seen) < LEAST_VOXELS:
        return None
    ends = [
        np.flatnonzero(seen.any(axis=tuple(other for other in range(3) if other != axis)))[[0, -1]]
        for axis in (2, 1, 0)
    ]
    corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(-1, 3)
    points = volume.geometry.to_lps(corners.astype(float))
    return points.min(axis=0), points.max(axis=0)


def _shell(mask: LesionMask) -> tuple[tuple[slice, ...], BoolArray]:
    """Where the surroundings of a lesion lie in the CT, and which voxels there belong to them."""
    spacing = mask.grid.spacing_zyx_mm
    spans = tuple(
        slice(
            max(0, span.start - int(np.ceil(SHELL_MM[1] / step)) - 1),
            min(size, span.stop + int(np.ceil(SHELL_MM[1] / step)) + 1),
        )
        for span, step, size in zip(mask.slices_zyx, spacing, mask.grid.shape_zyx, strict=True)
    )
    inside = np.zeros(tuple(span.stop - span.start for span in spans), dtype=bool)
    place = tuple(
        slice(span.start - outer.start, span.stop - outer.start)
        for span, outer in zip(mask.slices_zyx, spans, strict=True)
    )
    inside[place] = mask.voxels
    gap = edt.edt((~inside).astype(np.uint8), anisotropy=spacing, black_border=False, parallel=1)
    shell: BoolArray = (gap >= SHELL_MM[0]) & (gap <= SHELL_MM[1])
    return spans, shell


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
