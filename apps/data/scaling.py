"""Bringing the channels of a series to one range, and back to their own units."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from apps.data.checks import check_choice

KINDS = ("none", "min-max", "standard", "robust")


@dataclass(frozen=True)
class Scaling:
    """scaled = (x − offset) / factor, channel by channel.

    Attributes:
        kind: 'none', 'min-max' (the fitted rows cover [0, 1]), 'standard' (mean 0, deviation 1) or
            'robust' (median 0, interquartile range 1), which few outliers do not move.
        offset: One number per channel, in the data's units.
        factor: One number per channel, in the data's units, never 0.
    """

    kind: str
    offset: tuple[float, ...]
    factor: tuple[float, ...]

    def __post_init__(self):
        check_choice("scaling", self.kind, KINDS)
        if len(self.offset) != len(self.factor) or not self.offset:
            raise ValueError(
                f"a scaling needs one offset and one factor per channel, got {len(self.offset)} "
                f"offsets and {len(self.factor)} factors"
            )
        if not all(map(math.isfinite, (*self.offset, *self.factor))) or 0 in self.factor:
            raise ValueError(
                f"a scaling needs finite offsets and factors other than 0, got the offsets "
                f"{self.offset} and the factors {self.factor}"
            )

    @classmethod
    def fit(cls, kind: str, rows: Float64[np.ndarray, "rows channels"]) -> "Scaling":
        """The scaling of `kind` that these rows ask for.

        A channel that never changes keeps the factor 1, so that it comes out as a constant 0
        and not as a division by 0. One most of whose values are equal has no interquartile range;
        'robust' then takes its deviation.
        """
        check_choice("scaling", kind, KINDS)
        channels = rows.shape[1]
        if kind == "none":
            offset, factor = np.zeros(channels), np.ones(channels)
        elif kind == "min-max":
            offset, factor = rows.min(0), np.ptp(rows, axis=0)
        elif kind == "standard":
            offset, factor = rows.mean(0), rows.std(0)
        else:
            low, offset, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
            factor = np.where(high > low, high - low, rows.std(0))
        factor = np.where(factor > 0, factor, 1.0)
        return cls(kind, tuple(offset.tolist()), tuple(factor.tolist()))

    def scale(self, values: np.ndarray) -> np.ndarray:
        """From the data's units to what a model sees: float64, channels last."""
        return (np.asarray(values, np.float64) - np.asarray(self.offset)) / np.asarray(self.factor)

    def unscale(self, values: np.ndarray) -> np.ndarray:
        """From what a model makes to the data's units: float64, channels last."""
        return np.asarray(values, np.float64) * np.asarray(self.factor) + np.asarray(self.offset)

    def to_dict(self) -> dict[str, Any]:
        """Plain words and lists, for JSON."""
        return asdict(self) | {"offset": list(self.offset), "factor": list(self.factor)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Scaling":
        """The inverse of `to_dict`."""
        return cls(
            values["kind"],
            tuple(float(each) for each in values["offset"]),
            tuple(float(each) for each in values["factor"]),
        )
