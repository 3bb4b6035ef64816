"""How weights begin: what `jax.nn.initializers` lacks."""

from typing import Any

import jax
from jaxtyping import Array, PRNGKeyArray


def glorot_normal(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any, groups: int = 1) -> Array:
    """Truncated normal of variance ``2 / (fan_in + fan_out)`` for a weight ``(K, O, I / groups)``.

    Each output sees ``K·I / groups`` inputs and each input ``K·O / groups`` outputs; counted from
    the layout's last two axes as they stand, groups would be missing from the second.
    """
    taps, out, per_group = shape
    draw = jax.nn.initializers.variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis=-1, out_axis=-2, batch_axis=1
    )
    return draw(key, (taps, groups, out // groups, per_group), dtype).reshape(shape)
