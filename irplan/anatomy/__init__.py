"""Anatomy: skin, lungs, airways, bone, gas, vessels, as far as thresholds and shape can tell.

In: the CT in HU, the body mask, the lesions, and label maps made elsewhere. Out: an
:class:`~irplan.anatomy.structure.Anatomy`: one label map, its structures with a confidence, and
the list of structures that nobody segmented.
"""

from irplan.anatomy.build import build_anatomy
from irplan.anatomy.structure import Anatomy, Structure

__all__ = ["Anatomy", "Structure", "build_anatomy"]
