"""Change the sampling rate, all at once or where it is read.

Conventions: audio float32; rates in Hz. Both ways give the same samples to within rounding.

References
----------
The SoX Resampler library (soxr), quality HQ.
"""

from __future__ import annotations

from math import gcd
from typing import Any

import numpy as np
import soxr
from numpy.typing import DTypeLike, NDArray

from pipeline.errors import ParameterError
from pipeline.schema import Audio

_REACH_S = 0.05  # how far the filter looks to either side, and more


def resample(samples: Audio, from_hz: int, to_hz: int) -> Audio:
    """Change the sampling rate of each channel.

    Parameters
    ----------
    samples : ndarray [shape=(n,) or (channels, n)]
        float32.
    from_hz, to_hz : int
        Rates in Hz, both positive.

    Returns
    -------
    ndarray [shape=(m,) or (channels, m)]
        float32; the input itself when the rates are equal.

    Raises
    ------
    ParameterError
        If a rate is not positive.
    """
    if from_hz <= 0 or to_hz <= 0:
        raise ParameterError(f"Rates must be positive, not {from_hz} and {to_hz} Hz.")
    if from_hz == to_hz:
        return samples
    if samples.ndim == 1:
        return np.asarray(soxr.resample(samples, from_hz, to_hz), np.float32)
    return np.stack([resample(channel, from_hz, to_hz) for channel in samples])


class Resampled:
    """One channel at another rate, resampled piece by piece where it is read.

    Three hours at 16 kHz are 0.7 GB as an array; this holds no more than the channel itself.

    Parameters
    ----------
    samples : ndarray [shape=(n,)]
        float32, at ``from_hz``.
    from_hz, to_hz : int
        Rates in Hz, both positive.

    Attributes
    ----------
    size : int
        Number of samples at ``to_hz``.

    Raises
    ------
    ParameterError
        If a rate is not positive or the samples are not one channel.
    """

    def __init__(self, samples: Audio, from_hz: int, to_hz: int) -> None:
        if samples.ndim != 1:
            raise ParameterError(f"One channel is needed, not samples of shape {samples.shape}.")
        if from_hz <= 0 or to_hz <= 0:
            raise ParameterError(f"Rates must be positive, not {from_hz} and {to_hz} Hz.")
        self._samples, self._rates = samples, (from_hz, to_hz)
        self.size = int(samples.size * to_hz / from_hz + 0.5)

    def __getitem__(self, part: slice) -> Audio:
        """Samples from ``part.start`` to ``part.stop``, as of an array of them all."""
        start, stop, step = part.indices(self.size)
        if step != 1:
            raise ParameterError(f"Only whole stretches can be read, not every {step} samples.")
        from_hz, to_hz = self._rates
        common = gcd(from_hz, to_hz)
        up, down = to_hz // common, from_hz // common
        reach = round(_REACH_S * from_hz) + 1
        # The piece begins where a sample of one rate coincides with a sample of the other.
        first = max(0, start * down // up - reach) // down * down
        last = -(-max(start, stop) * down // up) + reach
        piece = resample(self._samples[first:last], from_hz, to_hz)
        offset = first // down * up
        return piece[start - offset : max(start, stop) - offset]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        """All samples, for what needs them at once."""
        return np.asarray(self[:], dtype)
