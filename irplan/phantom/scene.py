"""Shapes in patient LPS mm, painted one over the other.

Three kinds: an ellipsoid, a tube (a straight piece with an elliptic cross-section that may
taper), and a field (a function sampled on a coarse grid; inside where it lies in an interval).
A shape paints only over the groups it is told to, so a vessel of the lung ends at the pleura.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from irplan.geometry import FloatArray
from irplan.phantom.materials import GROUPS, MaterialTable

TUBE, ELLIPSOID, FIELD = 0, 1, 2
#: Numbers that describe one shape; see the ``_*`` methods of the renderer for their order.
PARAMETERS = 24
ALL_GROUPS = tuple(GROUPS)
INSIDE = tuple(group for group in GROUPS if group not in ("outside", "table"))
Point = Sequence[float] | FloatArray


@dataclass(frozen=True)
class Field:
    """A function on a regular grid, LPS mm: ``values`` float32 (z, y, x), trilinear between."""

    values: npt.NDArray[np.float32]
    origin_lps_mm: tuple[float, float, float]
    step_mm: float


@dataclass(frozen=True)
class Shapes:
    """The finished scene as arrays, one row a shape, in the order of painting."""

    kind: npt.NDArray[np.int64]
    material: npt.NDArray[np.uint8]
    over: npt.NDArray[np.int64]
    parameters: FloatArray
    low_mm: FloatArray
    high_mm: FloatArray
    fields: tuple[Field, ...]
    materials: MaterialTable


class Scene:
    """Collects shapes; later ones lie over earlier ones."""

    def __init__(self) -> None:
        self.materials = MaterialTable()
        self._rows: list[tuple[int, int, int, list[float], FloatArray, FloatArray]] = []
        self._fields: list[Field] = []

    def tube(
        self,
        start: Point,
        end: Point,
        radii: Sequence[float],
        material: int,
        *,
        end_radii: Sequence[float] | None = None,
        wide: Point = (1.0, 0.0, 0.0),
        flat: bool = False,
        over: Iterable[str] = INSIDE,
        above: float | None = None,
    ) -> None:
        """A straight piece from ``start`` to ``end``.

        ``radii`` (along ``wide``, across it), tapering to ``end_radii``. Ends are round, or cut
        ``flat``. ``above`` keeps only what lies higher than that along the direction against
        gravity, mm from the origin (gas over fluid).
        """
        first, last = np.asarray(start, dtype=float), np.asarray(end, dtype=float)
        length = float(np.linalg.norm(last - first))
        along = (last - first) / length if length > 0 else np.array([0.0, 0.0, 1.0])
        across = np.asarray(wide, dtype=float) - np.dot(wide, along) * along
        if np.linalg.norm(across) < 1e-6:
            across = np.cross(along, [0.0, 1.0, 0.0])
        across = across / np.linalg.norm(across)
        other = np.cross(along, across)
        far = radii if end_radii is None else end_radii
        row = [
            *first, *along, length, *across, *other,
            radii[0], far[0], radii[1], far[1],
            float(flat), -1e9 if above is None else above,
        ]  # fmt: skip
        reach = max(*radii, *far)
        low = np.minimum(first, last) - reach
        high = np.maximum(first, last) + reach
        self._rows.append((TUBE, material, _mask(over), row, low, high))

    def path(
        self,
        points: Sequence[Point] | FloatArray,
        radii: Sequence[float] | Sequence[Sequence[float]],
        material: int,
        **options: object,
    ) -> None:
        """Tubes along a polyline; ``radii`` holds one radius, or one pair, for each point."""
        pairs = [(value, value) if isinstance(value, int | float) else value for value in radii]
        for number in range(len(points) - 1):
            self.tube(
                points[number],
                points[number + 1],
                pairs[number],
                material,
                end_radii=pairs[number + 1],
                **options,  # type: ignore[arg-type]
            )

    def ellipsoid(
        self,
        centre: Point,
        semi_axes: Sequence[float],
        material: int,
        *,
        axes: FloatArray | None = None,
        over: Iterable[str] = INSIDE,
        above: float | None = None,
    ) -> None:
        """``axes``: (3, 3), columns the directions of the semi-axes; LPS axes by default."""
        middle = np.asarray(centre, dtype=float)
        turn = np.eye(3) if axes is None else np.asarray(axes, dtype=float)
        scaled = (turn / np.asarray(semi_axes)).T
        reach = np.sqrt(((turn * np.asarray(semi_axes)) ** 2).sum(axis=1))
        row = [*middle, *scaled.ravel(), -1e9 if above is None else above]
        self._rows.append((ELLIPSOID, material, _mask(over), row, middle - reach, middle + reach))

    def add_field(self, field: Field) -> int:
        """Keep a field; its number serves :meth:`region`."""
        self._fields.append(field)
        return len(self._fields) - 1

    def region(
        self,
        number: int,
        material: int,
        *,
        above: float = -1e9,
        below: float = 0.0,
        over: Iterable[str] = INSIDE,
    ) -> None:
        """Where field ``number`` lies in ``(above, below]``."""
        field = self._fields[number]
        depth, height, width = field.values.shape
        size = np.array([width, height, depth]) - 1
        low = np.asarray(field.origin_lps_mm)
        hits = np.argwhere(field.values <= below + 1.5 * field.step_mm)[:, ::-1]
        if hits.size == 0:
            return
        first = np.maximum(hits.min(axis=0) - 1, 0)
        last = np.minimum(hits.max(axis=0) + 1, size)
        row = [float(number), above, below]
        self._rows.append(
            (
                FIELD,
                material,
                _mask(over),
                row,
                low + first * field.step_mm,
                low + last * field.step_mm,
            )
        )

    def finish(self) -> Shapes:
        """The scene as arrays."""
        parameters = np.zeros((len(self._rows), PARAMETERS))
        for number, row in enumerate(self._rows):
            parameters[number, : len(row[3])] = row[3]
        return Shapes(
            kind=np.array([row[0] for row in self._rows], dtype=np.int64),
            material=np.array([row[1] for row in self._rows], dtype=np.uint8),
            over=np.array([row[2] for row in self._rows], dtype=np.int64),
            parameters=parameters,
            low_mm=np.array([row[4] for row in self._rows]),
            high_mm=np.array([row[5] for row in self._rows]),
            fields=tuple(self._fields),
            materials=self.materials,
        )


def _mask(groups: Iterable[str]) -> int:
    bits = 0
    for group in groups:
        bits |= 1 << GROUPS.index(group)
    return bits
