"""Directions spread evenly over the sphere, and who is whose neighbour."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.spatial import cKDTree

from irplan.geometry import FloatArray

IntArray = npt.NDArray[np.int64]

#: How many directions a surface has.
DIRECTIONS = 400


@dataclass(frozen=True)
class Sphere:
    """The directions and who is whose neighbour.

    Attributes:
        directions: (400, 3) unit vectors.
        tree: of the directions.
        near: (400, 7) each direction and its six nearest.
        source, reverse: (edges,) the direction that a message comes from, and the edge back.
        gather: sparse (400, edges), sums the messages that reach a direction.
    """

    directions: FloatArray
    tree: cKDTree
    near: IntArray
    source: IntArray
    reverse: IntArray
    gather: Any


def directions(count: int) -> FloatArray:
    """(count, 3) unit vectors spread evenly over the sphere (Fibonacci), always the same."""
    number = np.arange(count) + 0.5
    polar = np.arccos(1.0 - 2.0 * number / count)
    turn = np.pi * (1.0 + np.sqrt(5.0)) * number
    return np.stack(
        [np.cos(turn) * np.sin(polar), np.sin(turn) * np.sin(polar), np.cos(polar)], axis=1
    )


@cache
def sphere_of_directions() -> Sphere:
    points = directions(DIRECTIONS)
    tree = cKDTree(points)
    near = np.asarray(tree.query(points, k=7)[1], dtype=np.int64)
    pairs = {(min(a, b), max(a, b)) for a, row in enumerate(near.tolist()) for b in row[1:]}
    edges = np.array(sorted([*pairs, *((b, a) for a, b in pairs)]), dtype=np.int64)
    number = {(a, b): at for at, (a, b) in enumerate(edges.tolist())}
    reverse = np.array([number[(b, a)] for a, b in edges.tolist()], dtype=np.int64)
    count = len(edges)
    # Row d sums the messages that reach direction d.
    gather = sparse.csr_array(
        (np.ones(count, dtype=np.float32), (edges[:, 1], np.arange(count))),
        shape=(DIRECTIONS, count),
    )
    return Sphere(points, tree, near, edges[:, 0], reverse, gather)


#: Polar and azimuth steps of the chart on which values by direction are laid out.
CHART = (48, 96)


@cache
def _chart_weights() -> Any:
    """Sparse (chart places, 400): each place is a mean of its three nearest directions."""
    polar = np.linspace(0.0, np.pi, CHART[0])
    around = np.linspace(-np.pi, np.pi, CHART[1])
    polar, around = np.meshgrid(polar, around, indexing="ij")
    points = np.stack(
        [np.cos(around) * np.sin(polar), np.sin(around) * np.sin(polar), np.cos(polar)], axis=-1
    ).reshape(-1, 3)
    gaps, number = sphere_of_directions().tree.query(points, k=3)
    weight = 1.0 / (gaps + 0.02) ** 2
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.repeat(np.arange(len(points)), 3)
    return sparse.csr_array(
        (weight.ravel(), (rows, number.ravel())), shape=(len(points), DIRECTIONS)
    )


def on_angles(values: FloatArray) -> FloatArray:
    """Values by direction (400,) laid out over polar angle and azimuth, (48, 96)."""
    return np.asarray((_chart_weights() @ values).reshape(CHART), dtype=float)


def angles_index(vectors: FloatArray) -> FloatArray:
    """Where unit vectors (n, 3) lie on that chart, (2, n), in its steps."""
    polar = np.arccos(np.clip(vectors[:, 2], -1.0, 1.0)) / np.pi * (CHART[0] - 1)
    around = (np.arctan2(vectors[:, 1], vectors[:, 0]) / np.pi + 1.0) / 2.0 * (CHART[1] - 1)
    return np.stack([polar, around])
