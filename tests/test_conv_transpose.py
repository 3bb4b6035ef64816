"""Laws of the operations, over the table of cases."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import GRID, SMALL, Case, gradients, scatter
from jax.sharding import AxisType, PartitionSpec
from jax.test_util import check_grads

import convt1d
from convt1d import _lowerings
from convt1d._trilinear import LOWERINGS, Lowering


@pytest.fixture(autouse=True, scope="module")
def _double_precision():
    with jax.enable_x64(True):
        yield


@functools.partial(jax.jit, static_argnums=(0, 3))  # one program, not one for each small operation
def apply(case: Case, x, w, lowering: Lowering = "auto"):
    return convt1d.conv_transpose1d(
        x,
        w,
        stride=case.stride,
        dilation=case.dilation,
        groups=case.groups,
        crop=case.crop,
        lowering=lowering,
    )


@functools.partial(jax.jit, static_argnums=0)
def apply_in_every_way(case: Case, x, w, y):
    """The output and both gradients by each lowering."""
    found = {}
    for lowering in LOWERINGS:
        out, pull = jax.vjp(lambda x, w, how=lowering: apply(case, x, w, how), x, w)
        found[lowering] = (out, *pull(y))
    return found


@pytest.mark.parametrize("case", SMALL, ids=str)
def test_every_lowering_is_the_scatter_of_its_definition_with_its_gradients(case):
    signals = case.signals()
    x, w, y = signals.values()
    for lowering, found in apply_in_every_way(case, *map(jnp.asarray, signals.values())).items():
        for ours, exact in zip(
            found, (scatter(case, x, w), *gradients(case, x, w, y)), strict=True
        ):
            np.testing.assert_allclose(ours, exact, atol=1e-11, err_msg=lowering)


def test_a_long_weight_gradient_in_chunks_is_the_whole(monkeypatch):
    case = Case(length=23, kernel_size=5, stride=2, groups=2, channels=(12, 18), low=1, high=2)
    signals = case.signals()
    exact = gradients(case, *signals.values())[1]
    monkeypatch.setattr(_lowerings, "MOST_PATCHES", 2 * 90 * 4)  # four frames at a time
    x, w, y = map(jnp.asarray, signals.values())
    ours = jax.jit(lambda y: jax.vjp(lambda w: apply(case, x, w, "gemm"), w)[1](y))(y)
    np.testing.assert_allclose(ours[0], exact, atol=1e-12)


def test_the_definition_holds_over_a_grid_of_sizes():
    for case in GRID:
        x, w, _ = case.signals().values()
        y = apply(case, jnp.asarray(x), jnp.asarray(w))
        np.testing.assert_allclose(y, scatter(case, x, w), atol=1e-12, err_msg=str(case))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.complex64, jnp.complex128, jnp.bfloat16])
@pytest.mark.parametrize("case", SMALL[:6], ids=str)
def test_every_dtype_gives_the_same_within_its_precision(case, dtype):
    x, w, _ = case.signals().values()
    if jnp.issubdtype(dtype, jnp.complexfloating):
        x, w = x * (1 + 2j), w * (3 - 1j)
    y = apply(case, jnp.asarray(x, dtype), jnp.asarray(w, dtype))
    assert y.dtype == dtype
    # Each output is a sum of at most K·I products of numbers of size one.
    terms = case.kernel_size * case.channels[0] * (16 if y.dtype.kind == "c" else 1)
    tolerance = terms * float(jnp.finfo(dtype).eps) * 8
    np.testing.assert_allclose(np.asarray(y, np.complex128), scatter(case, x, w), atol=tolerance)


@pytest.mark.parametrize("word", ["SAME", "SAME_LOWER"])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(4, 2, 1), (7, 1, 3), (5, 3, 2)])
def test_the_transpose_is_the_adjoint_of_the_convolution(word, kernel_size, stride, dilation):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 6, 3)))
    y = jnp.asarray(rng.standard_normal((2, 6 * stride, 5)))
    w = jnp.asarray(rng.standard_normal((kernel_size, 5, 3)))
    up = convt1d.conv_transpose1d(x, w, stride=stride, padding=word, dilation=dilation)
    down = convt1d.conv1d(y, w, stride=stride, padding=word, dilation=dilation)
    np.testing.assert_allclose(jnp.vdot(up, y), jnp.vdot(x, down), rtol=1e-12)


@pytest.mark.parametrize("case", [SMALL[0], SMALL[7], SMALL[9]], ids=str)
def test_derivatives_of_any_order_and_mode_agree_with_differences(case):
    x, w, _ = case.signals().values()
    check_grads(
        lambda x, w: jnp.sin(apply(case, x, w)),
        (jnp.asarray(x), jnp.asarray(w)),
        order=2,
        modes=("fwd", "rev"),
    )


@pytest.mark.parametrize("case", [SMALL[0], SMALL[5], SMALL[10]], ids=str)
@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (1, 2)])
def test_vmap_is_a_loop(case, axes):
    x, w, y = case.signals().values()
    xs = np.stack([x, 2 * x, x + 1], axis=axes[0]) if axes[0] is not None else x
    ws = np.stack([w, w - 1, 3 * w], axis=axes[1]) if axes[1] is not None else w

    def both(x, w):
        out, pull = jax.vjp(lambda x, w: apply(case, x, w), x, w)
        return out, *pull(jnp.asarray(y))

    mapped = jax.vmap(both, in_axes=axes)(jnp.asarray(xs), jnp.asarray(ws))
    for i in range(3):
        one = both(
            jnp.asarray(xs if axes[0] is None else xs.take(i, axes[0])),
            jnp.asarray(ws if axes[1] is None else ws.take(i, axes[1])),
        )
        for many, single in zip(mapped, one, strict=True):
            np.testing.assert_allclose(many[i], single, atol=1e-12)


def test_a_scan_gives_what_the_batch_gives():
    case = SMALL[0]
    x, w, _ = (jnp.asarray(value) for value in case.signals().values())
    _, ys = jax.lax.scan(lambda c, frame: (c, apply(case, frame[None], w)[0]), 0, x)
    np.testing.assert_allclose(ys, apply(case, x, w), atol=1e-13)


def test_shard_map_sums_the_gradient_of_a_shared_weight():
    case = Case(length=5, kernel_size=4, stride=2, low=1, high=1, batch=8)
    x, w, _ = (jnp.asarray(value) for value in case.signals().values())
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,), devices=jax.devices()[:4])
    whole = jax.grad(lambda w: jnp.sin(apply(case, x, w)).sum())(w)
    here = jax.shard_map(
        lambda w, x: jax.grad(lambda w: jnp.sin(apply(case, x, w)).sum())(w),
        mesh=mesh,
        in_specs=(PartitionSpec(), PartitionSpec("data")),
        out_specs=PartitionSpec(),
    )
    np.testing.assert_allclose(jax.jit(here)(w, x), whole, atol=1e-12)


@pytest.mark.parametrize("padding", ["SAME", "VALID", 2, (1, 0)])
@pytest.mark.parametrize(("kernel_size", "stride", "dilation"), [(4, 2, 1), (3, 5, 1), (3, 2, 2)])
def test_it_agrees_with_lax_conv_transpose(padding, kernel_size, stride, dilation):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, 6, 3)))
    w = jnp.asarray(rng.standard_normal((kernel_size, 5, 3)))
    numbers = padding if isinstance(padding, str) else [np.broadcast_to(padding, 2).tolist()]
    theirs = jax.lax.conv_transpose(
        x, w[::-1].swapaxes(1, 2), (stride,), numbers, rhs_dilation=(dilation,)
    )
    ours = convt1d.conv_transpose1d(x, w, stride=stride, padding=padding, dilation=dilation)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(
    ("length", "kernel_size", "stride", "dilation", "padding"),
    [
        (9, 3, 1, 1, "SAME"), (9, 4, 2, 1, "SAME"), (2, 7, 1, 1, "SAME"), (20, 7, 1, 3, "SAME"),
        (9, 5, 3, 2, (4, 1)), (12, 4, 3, 1, "VALID"), (3, 9, 1, 1, 30), (5, 1, 4, 1, "VALID"),
    ],
)  # fmt: skip
def test_the_convolution_agrees_with_lax(length, kernel_size, stride, dilation, padding, groups):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.standard_normal((2, length, 4)))
    w = jnp.asarray(rng.standard_normal((kernel_size, 4 // groups, 8)))
    numbers = padding if isinstance(padding, str) else [np.broadcast_to(padding, 2).tolist()]

    def theirs(x, w):
        return jax.lax.conv_general_dilated(
            x, w, (stride,), numbers, rhs_dilation=(dilation,), feature_group_count=groups,
            dimension_numbers=("NWC", "WIO", "NWC"),
        )  # fmt: skip

    def ours(x, w, lowering):
        return convt1d.conv1d(
            x, w, stride=stride, padding=padding, dilation=dilation, groups=groups,
            lowering=lowering,
        )  # fmt: skip

    @jax.jit
    def all_of_them(x, w):
        ways = [theirs, *(functools.partial(ours, lowering=how) for how in LOWERINGS)]
        outputs = [jax.vjp(way, x, w) for way in ways]
        return [(out, *pull(jnp.cos(out))) for out, pull in outputs]

    expected, *found = all_of_them(x, w)
    for values in found:
        for one, other in zip(values, expected, strict=True):
            np.testing.assert_allclose(one, other, atol=1e-11)


def test_a_causal_convolution_never_looks_ahead():
    rng = np.random.default_rng(0)
    x, w = jnp.asarray(rng.standard_normal((1, 24, 2))), jnp.asarray(rng.standard_normal((5, 2, 3)))
    for stride, change in itertools.product((1, 2, 3), (7, 12)):
        later = x.at[:, change:].add(1)
        a, b = (convt1d.conv1d(s, w, stride=stride, padding="CAUSAL") for s in (x, later))
        settled = change // stride
        np.testing.assert_array_equal(a[:, :settled], b[:, :settled])
        assert not jnp.array_equal(a[:, settled], b[:, settled])


def test_a_causal_transpose_never_looks_ahead():
    rng = np.random.default_rng(0)
    x, w = jnp.asarray(rng.standard_normal((1, 9, 2))), jnp.asarray(rng.standard_normal((7, 3, 2)))
    a, b = (
        convt1d.conv_transpose1d(s, w, stride=3, padding="CAUSAL") for s in (x, x.at[:, 4:].add(1))
    )
    np.testing.assert_array_equal(a[:, :12], b[:, :12])


def test_mixed_dtypes_are_promoted():
    with jax.numpy_dtype_promotion("standard"):
        y = convt1d.conv_transpose1d(jnp.ones((1, 3, 2), jnp.bfloat16), jnp.ones((3, 2, 2)))
    assert y.dtype == jnp.float64


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": (2, 5, 3)}, r"`x` has shape \(2, 5, 3\), but `weight` of shape \(4, 6, 2\)"),
        ({"x": (5,)}, r"`x` has shape \(5,\)"),
        ({"weight": (4, 6)}, r"`weight` has shape \(4, 6\), but must have three axes"),
        (
            {"groups": 4, "x": (2, 5, 8)},
            r"`groups` \(=4\) must divide the input's 8 and the output's 6",
        ),
        ({"crop": 7}, r"an input of length 5 would give an output of length -6 = .*\(5 - 1\)·1"),
        ({"crop": 1, "padding": 2}, r"`crop` \(=1\) and `padding` \(=2\) both set"),
        ({"crop": "SAME"}, r"`crop` \(='SAME'\) must be an int, a pair"),
        ({"crop": 0, "output_padding": 1}, r"`output_padding` \(=1\) must be an int from 0 to 0"),
        ({"output_padding": 1}, r"`output_padding` \(=1\) belongs to `crop`"),
        (
            {"crop": 0, "stride": 2, "output_padding": 1, "output_size": 13},
            r"`output_size` \(=13\) and `output_padding` \(=1\) both lengthen the output",
        ),
        ({"crop": 0, "stride": 2, "output_size": 14}, r"`output_size` \(=14\) .* from 12 to 13"),
        ({"precision": "exact"}, r"`precision` \(='exact'\) must be a jax.lax.Precision or one"),
        ({"stride": 0}, r"`stride` \(=0\) must be at least 1"),
        ({"dilation": 1.5}, r"`dilation` \(=1\.5\) must be an int"),
        ({"groups": -1}, r"`groups` \(=-1\) must be at least 1"),
        ({"lowering": "fft"}, r"`lowering` \(='fft'\) must be one of 'auto', 'gemm', 'subpixel'"),
    ],
)
def test_a_wrong_call_of_the_transpose_is_refused_by_name(arguments, message):
    shapes = {"x": (2, 5, 2), "weight": (4, 6, 2)} | {
        k: arguments.pop(k) for k in ("x", "weight") if k in arguments
    }
    x, weight = (jnp.ones(shape) for shape in shapes.values())
    with pytest.raises(ValueError, match=message):
        convt1d.conv_transpose1d(x, weight, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"x": (2, 5, 3)}, r"`x` has shape \(2, 5, 3\), but `weight` of shape \(4, 2, 6\)"),
        ({"x": (2, 5, 2), "stride": -2}, r"`stride` \(=-2\) must be at least 1"),
        ({"x": (2, 5, 2), "dilation": 0}, r"`dilation` \(=0\) must be at least 1"),
        (
            {"x": (2, 5, 8), "groups": 4},
            r"`groups` \(=4\) must divide the input's 8 and the output's 6",
        ),
        ({"x": (2, 3, 2), "padding": "VALID"}, r"an input of length 3 with padding \(0, 0\) is sh"),
    ],
)
def test_a_wrong_call_of_the_convolution_is_refused_by_name(arguments, message):
    x = jnp.ones(arguments.pop("x"))
    with pytest.raises(ValueError, match=message):
        convt1d.conv1d(x, jnp.ones((4, 2, 6)), **arguments)
