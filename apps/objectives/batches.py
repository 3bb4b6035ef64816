"""What a batch is made of: an array of signals, or signals and what is known of each.

What is known are conditions: a label, covariates, or both, in this order, as conditional models are
called with them after the signal or the latent: `model.encode(signal, *conditions_of(batch))`. Of
signals alone there are none, and a model is called as if there were no such thing.
"""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, Int

Conditions = tuple[Any, ...]
"""Nothing, or a label and covariates for each signal, of which one may be None."""

_Rows = TypeVar("_Rows")


def conditions(label: Any = None, covariates: Any = None) -> Conditions:
    """What a model is to be told, if anything.

    Args:
        label: The class of each signal.
        covariates: Of each signal, at each of its samples.
    """
    return () if label is None and covariates is None else (label, covariates)


def signal_of(batch: Any) -> Float[Array, "batch length channels"]:
    """The signals of a batch, whether anything is known of them or not."""
    return getattr(batch, "signal", batch)


def label_of(batch: Any) -> Int[Array, " batch"] | None:
    """The labels of a batch, if it has any."""
    return getattr(batch, "label", None)


def covariates_of(batch: Any) -> Float[Array, "batch length covariates"] | None:
    """The covariates of a batch, if it has any."""
    return getattr(batch, "covariates", None)


def conditions_of(batch: Any) -> Conditions:
    """What is known of the signals of a batch."""
    return conditions(label_of(batch), covariates_of(batch))


def chosen(rows: _Rows, places: Any) -> _Rows:
    """Some rows of a host batch, or of conditions: a slice, or numbers of rows."""
    return jax.tree.map(lambda each: np.asarray(each)[places], rows)


def filled(rows: _Rows, size: int) -> _Rows:
    """A host batch, or conditions, with zeros up to so many rows: one program serves all sizes."""

    def fill(each: Any) -> Any:
        missing = max(size - len(each), 0)
        return np.pad(each, ((0, missing), *((0, 0),) * (np.ndim(each) - 1)))

    return jax.tree.map(fill, rows)


def joined(parts: Sequence[_Rows]) -> _Rows:
    """Host batches, or conditions, one behind the other."""
    return jax.tree.map(lambda *each: np.concatenate(each), *parts)
