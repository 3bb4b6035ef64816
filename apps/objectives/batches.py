"""What a batch is made of: an array of signals, or signals and labels."""

from typing import Any

from jaxtyping import Array, Float, Int


def signal_of(batch: Any) -> Float[Array, "batch length channels"]:
    """The signals of a batch, whether it has labels or not."""
    return getattr(batch, "signal", batch)


def label_of(batch: Any) -> Int[Array, " batch"] | None:
    """The labels of a batch, if it has any."""
    return getattr(batch, "label", None)
