"""Whether a mask keeps to the diameters that were drawn for it.

A reader draws a diameter from border to border. The image may show another border, and then the
mask may be right; but a mask that is much shorter along the line than what was drawn is not what
the reader saw, and the dose follows its volume.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from irplan import units
from irplan.findings import Finding, Severity, declare
from irplan.lesions.gestures import Click, Diameter, Prompt, Scribble
from irplan.lesions.lesion import LesionMask

STAGE = "lesions"
#: A mask reaches along a drawn line as far as was drawn where it is within this share of the length
#: and this many mm of it. Settings: readers draw one diameter 10 to 15 % apart, and a line ends
#: within a voxel or two of the border.
APART_SHARE = 0.30
APART_MM = 5.0
#: Step along the line, mm, and how far beyond its ends the mask is looked for, shares of it.
STEP_MM = 0.25
BEYOND_SHARE = 0.5

LINE_NOT_MET = declare(
    "diameter_not_met",
    Severity.WARN,
    STAGE,
    "{lesion}: along a diameter drawn as {drawn_mm} mm the mask reaches over {found_mm} mm: the "
    "volume is that of the mask. Look at its contour, and draw further diameters or correct it",
)


def unmet_lines(prompt: Prompt, mask: LesionMask) -> tuple[Finding, ...]:
    """A finding for the drawn diameter that the mask keeps to least, where it does not.

    Where something was taken off by a click or scribble outside, the lines do not count any more:
    the later gesture says otherwise.
    """
    if any(isinstance(one, Click | Scribble) and not one.inside for one in prompt.gestures):
        return ()
    lines = [one for one in prompt.gestures if isinstance(one, Diameter)]
    told = [(one.length_mm, reach_mm(one, mask)) for one in lines]
    apart = [
        (abs(found - drawn) / drawn, drawn, found)
        for drawn, found in told
        if abs(found - drawn) > max(APART_SHARE * drawn, APART_MM)
    ]
    if not apart:
        return ()
    _, drawn, found = max(apart)
    name = prompt.lesion_id
    return (LINE_NOT_MET(name, lesion=name, drawn_mm=units.mm(drawn), found_mm=units.mm(found)),)


def reach_mm(line: Diameter, mask: LesionMask) -> float:
    """From the first to the last place of the mask on a line and half its length beyond, mm."""
    start, end = np.asarray(line.start_lps_mm), np.asarray(line.end_lps_mm)
    beyond = BEYOND_SHARE * line.length_mm
    places = np.arange(-beyond, line.length_mm + beyond + STEP_MM, STEP_MM)
    points = start + places[:, None] * (end - start) / line.length_mm
    index = mask.box_grid.to_index(points)[:, ::-1].T + 1.0  # the mask is padded by a voxel
    padded = np.pad(mask.voxels, 1).astype(np.float32)
    inside = ndimage.map_coordinates(padded, index, order=1, mode="constant") >= 0.5
    hits = np.flatnonzero(inside)
    return float(places[hits[-1]] - places[hits[0]]) if hits.size else 0.0
