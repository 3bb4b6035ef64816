"""Which lowering runs where, and that on CPU it never ends in XLA's naive convolution loop."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import convt1d
from convt1d._choice import MOST_CONVOLUTIONS, choose
from convt1d._form import Form


def choices(*, batch=1, length=64, channels=(32, 32), kernel_size=4, stride=2, dilation=1, groups=1,
            dtype=jnp.float32, platform="cpu"):  # fmt: skip
    """What is chosen for the transposed convolution, the convolution and the weight's gradient."""
    inputs, outputs = channels
    fine = (length - 1) * stride + (kernel_size - 1) * dilation + 1
    form = Form(length, fine, kernel_size, stride, dilation, 0, groups)
    x = jax.ShapeDtypeStruct((batch, length, inputs), dtype)
    y = jax.ShapeDtypeStruct((batch, fine, outputs), dtype)
    w = jax.ShapeDtypeStruct((kernel_size, outputs, inputs // groups), dtype)
    return (
        choose("refine", x, w, form, platform),
        choose("coarsen", y, w, form, platform),
        choose("weigh", x, y, form, platform),
    )


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"groups": 32}, ("shifted",) * 3),
        ({"channels": (1, 1), "kernel_size": 25}, ("shifted",) * 3),
        ({"groups": 32, "kernel_size": 65}, ("gemm", "lax", "gemm")),
        ({"channels": (512, 512), "groups": 64}, ("gemm",) * 3),
        ({"kernel_size": 1}, ("gemm",) * 3),
        ({"dtype": jnp.float64}, ("gemm",) * 3),
        ({"dtype": jnp.complex64}, ("gemm",) * 3),
        ({"dtype": jnp.bfloat16, "batch": 16}, ("subpixel", "lax", "subpixel")),
        ({"kernel_size": 7, "stride": 1}, ("lax",) * 3),
        ({"kernel_size": 7, "stride": 1, "length": 6}, ("gemm", "lax", "lax")),
        ({"dilation": 3}, ("gemm", "lax", "gemm")),
        ({"batch": 16}, ("subpixel", "lax", "subpixel")),
        ({"batch": 16, "length": 4096}, ("subpixel", "lax", "gemm")),
        ({"batch": 16, "length": 4096, "channels": (128, 128), "kernel_size": 8},
         ("subpixel", "lax", "subpixel")),
        ({"batch": 16, "stride": 8}, ("gemm", "lax", "gemm")),
        ({"channels": (512, 256), "kernel_size": 16, "stride": 8}, ("gemm", "lax", "gemm")),
        ({"channels": (32, 1), "stride": 4, "kernel_size": 25}, ("gemm", "lax", "gemm")),
        ({"batch": 16, "groups": 4}, ("subpixel", "lax", "subpixel")),
        ({"platform": "gpu"}, ("gemm", "lax", "gemm")),
        ({"platform": "gpu", "groups": 32}, ("shifted",) * 3),
    ],
    ids=str,
)  # fmt: skip
def test_the_choice_is_the_documented_one(sizes, expected):
    assert MOST_CONVOLUTIONS == 32
    assert choices(**sizes) == expected


SHAPES = [  # batch, length, in, out, kernel size, stride, dilation, groups, crop
    (2, 33, 16, 8, 4, 2, 1, 1, (1, 1)),
    (1, 5, 16, 8, 16, 8, 1, 1, (4, 4)),
    (1, 1, 16, 8, 7, 1, 1, 1, (3, 3)),
    (2, 40, 16, 16, 7, 1, 9, 1, (27, 27)),
    (2, 40, 16, 16, 7, 1, 1, 1, (-9, 12)),
    (2, 33, 16, 16, 4, 2, 1, 16, (1, 1)),
    (2, 33, 32, 32, 4, 2, 1, 4, (1, 1)),
    (2, 9, 32, 16, 5, 3, 2, 2, (0, 0)),
]


@pytest.mark.parametrize("inside_scan", [False, True], ids=["alone", "inside scan"])
def test_neither_direction_reaches_the_naive_convolution_of_cpu(inside_scan):
    def train(operands):
        out = []
        for shape, (x, w, y) in zip(SHAPES, operands, strict=True):
            stride, dilation, groups, crop = shape[5:]
            result, pull = jax.vjp(
                lambda x, w, s=stride, d=dilation, g=groups, c=crop: convt1d.conv_transpose1d(
                    x, w, stride=s, dilation=d, groups=g, crop=c
                ),
                x, w,
            )  # fmt: skip
            out.append((result, *pull(y)))
            # and the convolution, whose gradients are the other two operations
            result, pull = jax.vjp(
                lambda y, w, s=stride, d=dilation, c=crop: convt1d.conv1d(
                    y, w, stride=s, dilation=d, padding=(max(c[0], 0), max(c[1], 0))
                ),
                y, jnp.ones((w.shape[0], y.shape[2], 8)),
            )  # fmt: skip
            out.append((result, *pull(result)))
        return out

    def repeat(operands):
        def body(operands, _):
            out = train(operands)
            scale = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(out))
            return jax.tree.map(lambda leaf: leaf * scale, operands), None

        return jax.lax.scan(body, operands, length=3)

    operands = []
    for batch, length, inputs, outputs, k, s, d, g, crop in SHAPES:
        fine = (length - 1) * s + (k - 1) * d + 1 - sum(crop)
        operands.append(
            (
                jnp.ones((batch, length, inputs)),
                jnp.ones((k, outputs, inputs // g)),
                jnp.ones((batch, fine, outputs)),
            )
        )
    program = jax.jit(repeat if inside_scan else train).lower(operands)
    program = program.compile().as_text() or ""
    convolutions = re.findall(r".* convolution\(.*", program)
    assert convolutions  # else this test would hold of anything
    for line in convolutions:
        assert "dim_labels=b0f_0io->b0f" in line
        assert "rhs_reversal" not in line
        assert "feature_group_count" not in line
        assert "batch_group_count" not in line


def test_a_float64_program_has_no_convolution_at_all():
    with jax.enable_x64(True):
        x, w = jnp.ones((2, 64, 16), np.float64), jnp.ones((4, 8, 16), np.float64)
        train = jax.jit(
            jax.value_and_grad(lambda x, w: jnp.sum(convt1d.conv_transpose1d(x, w, stride=2) ** 2))
        )
        program = train.lower(x, w).compile().as_text() or ""
    assert " dot(" in program
    assert " convolution(" not in program
