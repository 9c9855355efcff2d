"""The translation under which two images agree best, out of all there are.

Masked normalised correlation by Fourier transforms (Padfield, IEEE Trans. Image Process. 2012;
21:2706, doi 10.1109/TIP.2011.2181402): exact for every shift by whole voxels, with no start value
that could be wrong.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import fft

from irplan.geometry import BoolArray, FloatArray

FloatVolume = npt.NDArray[np.float32]


def best_shift(
    fixed: FloatVolume,
    fixed_mask: BoolArray,
    moving: FloatVolume,
    moving_mask: BoolArray,
    least_overlap: float,
) -> tuple[tuple[int, int, int], float]:
    """The shift (z, y, x), in voxels, with ``fixed[p]`` most like ``moving[p + shift]``.

    Args:
        fixed, moving: on grids of one spacing; their shapes may differ.
        fixed_mask, moving_mask: which voxels count.
        least_overlap: share of the smaller mask that must lie on the other one.

    Returns:
        The shift and its correlation, -1 to 1. Ties go to the first in array order.
    """
    correlation = correlations(fixed, fixed_mask, moving, moving_mask, least_overlap)
    # Rounded, so that the last digits of a transform decide nothing.
    place = np.unravel_index(int(np.argmax(np.round(correlation, 6))), correlation.shape)
    z, y, x = (int(p) - (n - 1) for p, n in zip(place, fixed.shape, strict=True))
    return (z, y, x), float(correlation[place])


def correlations(
    fixed: FloatVolume,
    fixed_mask: BoolArray,
    moving: FloatVolume,
    moving_mask: BoolArray,
    least_overlap: float,
) -> FloatArray:
    """The correlation of every shift; -1 where the masks overlap too little.

    Entry ``p`` belongs to the shift ``p - (fixed.shape - 1)``.
    """
    full = [a + b - 1 for a, b in zip(fixed.shape, moving.shape, strict=True)]
    shape = [fft.next_fast_len(number, real=True) for number in full]
    # Centred values keep the sums small, and with them the error of the transforms.
    middle = float(moving[moving_mask].mean()) if moving_mask.any() else 0.0
    f1, f2, fm = _transforms(fixed[::-1, ::-1, ::-1], fixed_mask[::-1, ::-1, ::-1], middle, shape)
    m1, m2, mm = _transforms(moving, moving_mask, middle, shape)

    def back(spectrum: npt.NDArray[np.complexfloating]) -> FloatArray:
        whole = fft.irfftn(spectrum, shape, workers=1)
        return np.asarray(whole[: full[0], : full[1], : full[2]], dtype=float)

    overlap = np.rint(back(fm * mm))
    count = np.maximum(overlap, 1.0)
    sum_f, sum_m = back(f1 * mm), back(fm * m1)
    both = back(f1 * m1) - sum_f * sum_m / count
    spread_f = np.maximum(back(f2 * mm) - sum_f**2 / count, 0.0)
    spread_m = np.maximum(back(fm * m2) - sum_m**2 / count, 0.0)
    scale = np.sqrt(spread_f * spread_m)
    least = least_overlap * min(np.count_nonzero(fixed_mask), np.count_nonzero(moving_mask))
    # A flat patch correlates with nothing: its spread is no more than the transforms' error.
    flat = scale < 1e-6 * max(float(scale.max(initial=0.0)), 1e-12)
    useless = (overlap < max(least, 1.0)) | flat
    result: FloatArray = np.where(useless, -1.0, both / np.where(scale == 0.0, 1.0, scale))
    return np.clip(result, -1.0, 1.0)


def _transforms(
    values: FloatVolume, mask: BoolArray, middle: float, shape: list[int]
) -> tuple[npt.NDArray[np.complexfloating], ...]:
    kept = np.where(mask, values - middle, 0.0).astype(np.float64)
    parts = (kept, kept**2, mask.astype(np.float64))
    return tuple(fft.rfftn(part, shape, workers=1) for part in parts)
