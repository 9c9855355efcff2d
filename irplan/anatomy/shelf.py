"""Anatomies that are not looked at now, kept small: the steps that undo can go back to.

A label map has one number a voxel, a hundred million of them in a large scan, in large even pieces.
Packed, it takes about a hundredth.
"""

from __future__ import annotations

import weakref
import zlib
from dataclasses import dataclass

import numpy as np

from irplan.anatomy.structure import Anatomy, Structure
from irplan.findings import Finding
from irplan.geometry import GridGeometry

#: zlib's fastest level: even pieces pack well at any, and a person waits for the next stroke.
PACKING_LEVEL = 1


@dataclass(frozen=True)
class PackedAnatomy:
    """An anatomy with its label map, (z, y, x) in C order, packed."""

    voxels: bytes
    dtype: str
    grid: GridGeometry
    structures: tuple[Structure, ...]
    unknown: tuple[str, ...]
    findings: tuple[Finding, ...]


class AnatomyShelf:
    """Packs anatomies and gives them back; what is in use somewhere is shared, not copied."""

    def __init__(self) -> None:
        self._known: list[tuple[weakref.ref[Anatomy], PackedAnatomy]] = []

    def pack(self, anatomy: Anatomy) -> PackedAnatomy:
        """The anatomy made small; the same object is packed once."""
        for known, packed in self._known:
            if known() is anatomy:
                return packed
        labels = np.ascontiguousarray(anatomy.labels)
        packed = PackedAnatomy(
            zlib.compress(labels.data, PACKING_LEVEL),
            labels.dtype.str,
            anatomy.grid,
            anatomy.structures,
            anatomy.unknown,
            anatomy.findings,
        )
        self._remember(anatomy, packed)
        return packed

    def unpack(self, packed: PackedAnatomy) -> Anatomy:
        """The anatomy as it was, its labels read-only."""
        for known, same in self._known:
            anatomy = known()
            if same is packed and anatomy is not None:
                return anatomy
        flat = np.frombuffer(zlib.decompress(packed.voxels), dtype=packed.dtype)
        anatomy = Anatomy(
            flat.reshape(packed.grid.shape_zyx),
            packed.grid,
            packed.structures,
            packed.unknown,
            packed.findings,
        )
        self._remember(anatomy, packed)
        return anatomy

    def _remember(self, anatomy: Anatomy, packed: PackedAnatomy) -> None:
        self._known = [pair for pair in self._known if pair[0]() is not None]
        self._known.append((weakref.ref(anatomy), packed))
