"""How weights begin: what `jax.nn.initializers` lacks for a transposed convolution.

Each function makes an initialiser ``(key, shape, dtype) -> array``, as those of JAX are, for a
weight ``(K, O, I / groups)`` of `convt1d.ConvTranspose1d` or `convt1d.conv_transpose1d`. The layers
take them by name, too, and then fill in their own sizes:

===================  ====================================  ========================================
name                 `ConvTranspose1d`                     `Conv1d`
===================  ====================================  ========================================
``'glorot_normal'``  truncated normal of variance 2 / (fan_in + fan_out); the default
``'torch'``          ``fan_in_uniform(K·O / groups)``,     ``fan_in_uniform(K·I / groups)``,
                     for weight and bias                   for weight and bias
``'equinox'``        ``fan_in_uniform(K·I / groups)``,     ``fan_in_uniform(K·I / groups)``,
                     for weight and bias                   for weight and bias
``'unit_variance'``  `unit_variance`                       ``variance_scaling(1, 'fan_in', …)``
``'icnr'``           `icnr`                                (no stride to fill)
===================  ====================================  ========================================

PyTorch counts the fan of a transposed weight ``(I, O / groups, K)`` along its second axis, so that
its "fan in" is ``K·O / groups`` although every output sample sees K·I / (groups·stride) numbers.
"""

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.nn.initializers import variance_scaling
from jaxtyping import Array, PRNGKeyArray

from convt1d import _geometry

Initializer: TypeAlias = Callable[..., Array]
"""A function ``(key, shape, dtype) -> array``."""


def glorot_normal(*, groups: int = 1) -> Initializer:
    """Truncated normal of variance ``2 / (fan_in + fan_out)``.

    Each output sees ``K·I / groups`` inputs and each input ``K·O / groups`` outputs; counted from
    the layout's last two axes as they stand, groups would be missing from the second.

    Source: Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html.

    Example:
        >>> import jax, convt1d
        >>> draw = convt1d.initializers.glorot_normal(groups=2)
        >>> draw(jax.random.key(0), (4, 8, 3), "float32").shape
        (4, 8, 3)
    """
    scaling = variance_scaling(
        1.0, "fan_avg", "truncated_normal", in_axis=-1, out_axis=-2, batch_axis=1
    )

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = None) -> Array:
        taps, out, per_group = shape
        return scaling(key, (taps, groups, out // groups, per_group), dtype).reshape(shape)

    return draw


def fan_in_uniform(fan_in: int) -> Initializer:
    """Uniform on ±1/√fan_in: what PyTorch and Equinox draw weights and biases from.

    The fan is an argument because the two count it differently, and because a bias has none of
    its own: see the table of this module. Of a complex dtype both parts are drawn so.

    Source: PyTorch's ``kaiming_uniform_(a=√5)`` is this; Equinox writes it out.

    Example:
        >>> import jax, convt1d
        >>> draw = convt1d.initializers.fan_in_uniform(4)
        >>> bool(abs(draw(jax.random.key(0), (1000,), "float32")).max() <= 0.5)
        True
    """
    limit = 1 / math.sqrt(_geometry.single("fan_in", fan_in))

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = None) -> Array:
        dtype = jnp.dtype(jnp.zeros(()).dtype if dtype is None else dtype)
        if not jnp.issubdtype(dtype, jnp.complexfloating):
            return jax.random.uniform(key, shape, dtype, -limit, limit)
        real = jnp.finfo(dtype).dtype
        parts = (draw(k, shape, real) for k in jax.random.split(key))
        return jax.lax.complex(*parts)

    return draw


def unit_variance(*, stride: int = 1, dilation: int = 1) -> Initializer:
    r"""Truncated normal with which every output sample has the variance of the input.

    Of the taps $k$ only those meet in an output sample $t$ for which $t - k d$ is a multiple of the
    stride $S$. A tap that meets $c_k$ others (itself counted) in its phase $k d \bmod S$ gets

    $$\operatorname{Var} w[k] = \frac{1}{c_k\, I / \text{groups}},$$

    so that the variances of the products in each output sample add up to one, whether or not $K$ is
    a multiple of $S$. Independent inputs of variance one are taken for granted, and samples that
    the signal's ends leave with fewer taps have less; with ``padding_mode='circular'`` there are
    none. Phases without any tap ($S > E$, or $S$ and $d$ with a common factor) stay silent.

    Args:
        stride: output samples from one input sample to the next.
        dilation: output samples from one tap to the next.

    Source: LeCun et al. 1998 (Efficient BackProp, section 4.6), with the fan counted per phase.

    Example:
        >>> import jax, convt1d
        >>> draw = convt1d.initializers.unit_variance(stride=2)
        >>> weight = draw(jax.random.key(0), (3, 64, 64), "float32")
        >>> [round(64 * float(weight[k].var()), 1) for k in range(3)]  # phases 0, 1, 0
        [0.5, 1.0, 0.5]
    """
    stride, dilation = _geometry.single("stride", stride), _geometry.single("dilation", dilation)
    scaling = variance_scaling(1.0, "fan_in", "truncated_normal", in_axis=-1, out_axis=-2)

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = None) -> Array:
        weight = scaling(key, shape, dtype)  # of variance 1 / (K·I / groups)
        phases = np.arange(shape[0]) * dilation % stride
        meeting = np.bincount(phases)[phases]
        gains = np.sqrt(shape[0] / meeting).reshape(-1, 1, 1)
        return weight * jnp.asarray(gains, weight.dtype)

    return draw


def icnr(*, stride: int, base: Initializer | None = None) -> Initializer:
    r"""Initialised to convolution and nearest-neighbour upsampling: free of checkerboards.

    The taps of each stride repeat one another, $w[j S + r] = u[j]$, so that the full result is
    that of the convolution with ``u`` at stride 1, each sample repeated $S$ times. Taps that begin
    independent of one another instead give each of the $S$ phases a filter of its own: a pattern
    of period $S$ even where the input is constant.

    Args:
        stride: output samples from one input sample to the next; must divide the kernel size.
        base: draws ``u`` of shape ``(K / stride, O, I / groups)``; default `unit_variance`.

    Source: Aitken et al. 2017 (arXiv:1707.02937), section 3.

    Example:
        >>> import jax, jax.numpy as jnp, convt1d
        >>> weight = convt1d.initializers.icnr(stride=4)(jax.random.key(0), (8, 1, 3), "float32")
        >>> y = convt1d.conv_transpose1d(jnp.ones((5, 3)), weight, stride=4, crop=0)
        >>> bool((y == jnp.repeat(y[::4], 4, axis=0)).all())
        True
    """
    stride = _geometry.single("stride", stride)
    base = unit_variance() if base is None else base

    def draw(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = None) -> Array:
        if shape[0] % stride:
            raise ValueError(
                f"`kernel_size` (={shape[0]}) must be a multiple of the stride (={stride}) for "
                "ICNR, which repeats each tap once for every sample of a stride."
            )
        taps = base(key, (shape[0] // stride, *shape[1:]), dtype)
        return jnp.repeat(taps, stride, axis=0)

    return draw
