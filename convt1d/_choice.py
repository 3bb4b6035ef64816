"""Which lowering runs where: the rules behind ``lowering="auto"``.

On CPU, measured with float32 on two cores (``scripts/bench_layers.py``; jax 0.10.2), in this order:

=============  ============  ======================================================================
operation      lowering      when
=============  ============  ======================================================================
all            ``shifted``   groups of at most 4 inputs and 8 outputs, and at most 64 taps·inputs
all            ``gemm``      float64, complex, one tap, or an input shorter than the kernel: XLA has
                             no fast convolution; and more than 32 groups
convolution    ``lax``       else always
the other two  ``lax``       stride 1
the other two  ``gemm``      dilation and stride, or a stride that no tap reaches beyond
transposed     ``subpixel``  a weight that is light beside the signal (``K O I/g <= 64 B L``), or
convolution                  products of all taps that would fill 16 MB
weight's       ``gemm``      patches of more than 8 MB for a weight of at most 2¹⁶ numbers
gradient
weight's       ``subpixel``  16 or more outputs·stride, and ``K O I/g <= 1024 B L``
gradient
all            ``gemm``      else
=============  ============  ======================================================================

On other platforms, unmeasured: ``shifted`` as on CPU, a convolution by ``lax``, the rest ``gemm``.
"""

import math
from typing import Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array

from convt1d import _lowerings, _shifted
from convt1d._form import Form
from convt1d._lowerings import Way

Operation: TypeAlias = Literal["refine", "coarsen", "weigh"]
Shaped: TypeAlias = Array | jax.ShapeDtypeStruct

WAYS: dict[Operation, dict[str, Way]] = {
    "refine": {
        "gemm": _lowerings.refine_gemm,
        "subpixel": _lowerings.refine_subpixel,
        "lax": _lowerings.refine_lax,
        "shifted": _shifted.refine_shifted,
    },
    "coarsen": {
        "gemm": _lowerings.coarsen_gemm,
        "subpixel": _lowerings.coarsen_subpixel,
        "lax": _lowerings.coarsen_lax,
        "shifted": _shifted.coarsen_shifted,
    },
    "weigh": {
        "gemm": _lowerings.weigh_gemm,
        "subpixel": _lowerings.weigh_subpixel,
        "lax": _lowerings.weigh_lax,
        "shifted": _shifted.weigh_shifted,
    },
}

MOST_CONVOLUTIONS = 32
"""Groups that are convolved one after the other; more are one batched product."""

# XLA:CPU's fast convolution takes these and no others; for the rest it has only the naive loop.
_CPU_CONVOLUTION_DTYPES = (jnp.float32, jnp.bfloat16, jnp.float16)


def choose(operation: Operation, a: Shaped, b: Shaped, form: Form, platform: str) -> str:
    """The name of the lowering for two operands on a platform, ``'cpu'`` or any other."""
    rows, inputs, outputs, weight = _sizes(operation, a, b, form)
    if inputs <= 4 and outputs <= 8 and form.kernel_size * inputs <= 64:
        return "shifted"
    if platform != "cpu":
        return "lax" if operation == "coarsen" else "gemm"
    if (
        form.kernel_size == 1
        or form.groups > MOST_CONVOLUTIONS
        or not _is_fast(operation, form, a.dtype)
    ):
        return "gemm"
    if operation == "coarsen" or form.stride == 1:
        return "lax"
    if form.dilation > 1 or form.blocks == 1:
        return "gemm"
    taps = rows * form.kernel_size * outputs * form.groups
    if operation == "refine":
        light = weight <= 64 * rows and min(inputs, outputs * form.stride) >= 8
        return "subpixel" if light or taps > 2**22 else "gemm"
    in_chunks = taps > 2**21 and weight <= 2**16
    wide = outputs * form.stride >= 16 and weight <= 1024 * rows
    return "subpixel" if wide and not in_chunks else "gemm"


def _sizes(operation: Operation, a: Shaped, b: Shaped, form: Form) -> tuple[int, int, int, int]:
    """Frames of all examples, inputs and outputs of a group, and numbers of the weight."""
    rows = a.shape[0] * form.coarse
    if operation == "weigh":
        inputs, outputs = a.shape[2] // form.groups, b.shape[2] // form.groups
    else:
        inputs, outputs = b.shape[2], b.shape[1] // form.groups
    return rows, inputs, outputs, math.prod((form.kernel_size, form.groups, inputs, outputs))


def _is_fast(operation: Operation, form: Form, dtype: jnp.dtype) -> bool:
    """Whether XLA:CPU keeps the convolution.

    XLA swaps the operands when the window is the longer one, and its CPU backend then runs a loop
    that is 50 times slower.
    """
    window, signal = {
        "refine": (form.blocks, form.coarse) if form.stride > 1 else (form.extent, form.coarse),
        "coarsen": (form.extent, min(form.fine, form.low + form.fine)),
        "weigh": (form.coarse, form.fine),
    }[operation]
    return window <= signal and any(dtype == fast for fast in _CPU_CONVOLUTION_DTYPES)
