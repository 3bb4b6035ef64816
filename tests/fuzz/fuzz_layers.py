"""Any arguments of a layer: either the output is the formula's, or the argument is named."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import pytest
from fuzz_laws import one_line_naming
from hypothesis import strategies as st

import convt1d

SMALL = st.integers(1, 5)
PAIRS = st.tuples(st.integers(0, 6), st.integers(0, 6))
WORDS = st.sampled_from(["SAME", "SAME_LOWER", "VALID", "CAUSAL", "same", "valid"])
MODES = st.sampled_from(["zeros", "zeros", "circular", "reflect", "replicate"])
LOWERINGS = st.sampled_from(["auto", "gemm", "subpixel", "lax", "shifted"])
CHANNELS = st.tuples(SMALL, SMALL, st.integers(1, 3))  # of a group: in, out; and groups
WRONG = st.one_of(
    st.integers(-3, 0),
    st.sampled_from([None, True, 1.5, float("nan"), "", "SAM", "1", (), (2, 3, 4), (1.0,), [[]]]),
    st.sampled_from([{}, object(), np.float32(2), 10**12, [(1, 2), (3, 4)]]),
)
_NUMPY = {"circular": "wrap", "reflect": "reflect", "replicate": "edge"}


@st.composite
def transposed(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `ConvTranspose1d`: mostly right, sometimes one of them anything at all."""
    own, out, groups = draw(CHANNELS)
    length = draw(st.integers(1, 9))
    first = draw(st.booleans())
    given: dict[str, Any] = {
        "in_size": (own * groups, length) if first else (length, own * groups),
        "out_channels": out * groups,
        "kernel_size": draw(st.integers(1, 9)),
        "stride": draw(SMALL),
        "lhs_dilation": draw(st.integers(1, 3)),
        "rhs_dilation": draw(st.integers(1, 3)),
        "groups": groups,
        "channel_first": first,
        "padding_mode": draw(MODES),
        "lowering": draw(LOWERINGS),
        "w_init": draw(st.sampled_from([None, "torch", "equinox", "unit_variance", "icnr"])),
        "b_init": draw(st.sampled_from([None, 0.5, "torch"])),
    }
    if draw(st.booleans()):
        given["padding"] = draw(WORDS | st.integers(0, 6) | PAIRS | PAIRS.map(lambda pair: [pair]))
    else:
        given["crop"] = draw(st.integers(0, 4) | PAIRS)
        given["output_padding"] = draw(st.integers(0, 2))
    return _with_one_wrong(draw, given)


@st.composite
def plain(draw: st.DrawFn) -> dict[str, Any]:
    """Arguments of `Conv1d`, and a length."""
    own, out, groups = draw(CHANNELS)
    given: dict[str, Any] = {
        "in_channels": own * groups,
        "out_channels": out * groups,
        "kernel_size": draw(st.integers(1, 9)),
        "stride": draw(SMALL),
        "padding": draw(WORDS | st.integers(0, 6) | PAIRS),
        "dilation": draw(st.integers(1, 3)),
        "groups": groups,
        "padding_mode": draw(MODES),
        "lowering": draw(LOWERINGS),
        "w_init": draw(st.sampled_from([None, "torch", "equinox", "unit_variance"])),
        "b_init": draw(st.sampled_from([None, 0.5, "equinox"])),
        "length": draw(st.integers(1, 24)),
    }
    return _with_one_wrong(draw, given)


def _with_one_wrong(draw: st.DrawFn, given: dict[str, Any]) -> dict[str, Any]:
    if draw(st.integers(0, 3)) == 0:
        given[draw(st.sampled_from([name for name in given if name != "length"]))] = draw(WRONG)
    return given


def check_transposed(given: dict[str, Any]) -> str:
    """The law for `ConvTranspose1d`; returns what became of the arguments."""
    layer = _made(convt1d.ConvTranspose1d, given)
    if layer is None:
        return "refused"
    weight, bias, x = _drawn(layer)
    first, length = layer.channel_first, layer.in_size[1 if layer.channel_first else 0]
    x = x(length, layer.in_channels)
    channels, samples = layer.out_size if first else layer.out_size[::-1]
    assert (channels, samples) == (layer.out_channels, layer.out_length(length))
    low, high = layer.crop
    assert samples == (length - 1) * layer.spacing + layer.extent - low - high
    more = 0 if layer.padding_mode == "zeros" else layer.extent // layer.spacing + samples + 1
    longer = _continued(x, (more, more), layer.padding_mode)
    full = _scattered(longer, weight, layer.spacing, layer.rhs_dilation, layer.groups)
    start = more * layer.spacing + low
    expected = _cut(full, start, samples) + bias
    _compare(layer, x, expected, first=first)
    return "right"


def check_plain(given: dict[str, Any]) -> str:
    """The law for `Conv1d`; returns what became of the arguments."""
    given = dict(given)
    length = given.pop("length")
    layer = _made(convt1d.Conv1d, given)
    if layer is None:
        return "refused"
    weight, bias, x = _drawn(layer)
    x = x(length, layer.in_channels)
    kernel, stride, dilation = layer.kernel_size[0], layer.stride, layer.dilation
    extent = (kernel - 1) * dilation + 1
    before, after = _zeros_around(layer.padding, length, stride=stride, extent=extent)
    count = (length + before + after - extent) // stride + 1
    if count < 1:
        for call in (layer.out_length, lambda _: layer(x)):
            with pytest.raises(ValueError, match="input of length"):
                call(length)
        return "refused"
    assert layer.out_length(length) == count
    padded = _continued(x, (before, after), layer.padding_mode)
    expected = np.zeros((2, count, layer.out_channels)) + bias
    own, out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    for group in range(layer.groups):
        there, here = slice(group * own, (group + 1) * own), slice(group * out, (group + 1) * out)
        for tap in range(kernel):
            rows = padded[:, tap * dilation :: stride, there][:, :count]
            expected[..., here] += rows @ weight[tap][:, here]
    _compare(layer, x, expected)
    return "right"


def _made(kind: Callable[..., Any], given: dict[str, Any]) -> Any:
    """The layer; None if it was refused by a `ValueError` that names an argument."""
    try:
        # Shapes first: a layer of a trillion taps is no mistake, only not for this machine.
        shapes = jax.eval_shape(lambda: kind(**given))
    except ValueError as error:
        names = [f"`{name}`" for name in inspect.signature(kind).parameters]
        one_line_naming(error, [*names, "an input of length"])
        return None
    sizes = [leaf.size for leaf in jax.tree.leaves(shapes)]
    huge = sum(sizes) > 1e6 or max(getattr(shapes, "out_size", (0,))) > 1e6
    return None if huge else kind(**given | {"w_init": _values, "b_init": _bias(given)})


def _values(key: object, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Weights without a program to compile for every shape."""
    return np.random.default_rng(len(shape)).normal(size=shape).astype(dtype)


def _bias(given: dict[str, Any]) -> Any:
    return None if given["b_init"] is None else _values


def _drawn(layer: Any) -> tuple[np.ndarray, np.ndarray | float, Callable[[int, int], np.ndarray]]:
    random = np.random.default_rng(7)
    weight = np.asarray(layer.weight, np.float64)
    bias = 0.0 if layer.bias is None else np.asarray(layer.bias, np.float64)
    return weight, bias, lambda length, channels: random.normal(size=(2, length, channels))


def _scattered(
    x: np.ndarray, weight: np.ndarray, spacing: int, dilation: int, groups: int
) -> np.ndarray:
    """The definition, tap by tap: every input sample writes a scaled kernel."""
    kernel, channels, own = weight.shape
    out = channels // groups
    full = np.zeros((len(x), (x.shape[1] - 1) * spacing + (kernel - 1) * dilation + 1, channels))
    end = (x.shape[1] - 1) * spacing + 1
    for group in range(groups):
        there, here = slice(group * own, (group + 1) * own), slice(group * out, (group + 1) * out)
        for tap in range(kernel):
            at = slice(tap * dilation, tap * dilation + end, spacing)
            full[:, at, here] += x[..., there] @ weight[tap, here].T
    return full


def _cut(full: np.ndarray, start: int, count: int) -> np.ndarray:
    """Samples `start` to `start + count`, zeros beyond the ends."""
    before, after = max(0, -start), max(0, start + count - full.shape[1])
    padded = np.pad(full, ((0, 0), (before, after), (0, 0)))
    return padded[:, start + before : start + before + count]


def _continued(x: np.ndarray, beyond: tuple[int, int], mode: str) -> np.ndarray:
    if mode == "zeros":
        return np.pad(x, ((0, 0), beyond, (0, 0)))
    kind: Any = _NUMPY[mode]
    return np.pad(x, ((0, 0), beyond, (0, 0)), kind)


def _zeros_around(padding: Any, length: int, *, stride: int, extent: int) -> tuple[int, int]:
    """The table of the reference page, worked out anew."""
    if not isinstance(padding, str):
        return padding
    if padding == "VALID":
        return 0, 0
    total = max(0, (-(-length // stride) - 1) * stride + extent - length)
    if padding == "CAUSAL":
        before = max(0, extent - stride)
        return before, max(0, total - before)
    half = total // 2
    return (half, total - half) if padding == "SAME" else (total - half, half)


def _compare(layer: Any, x: np.ndarray, expected: np.ndarray, *, first: bool = False) -> None:
    given = np.asarray(x, np.float32)
    given, expected = (each.swapaxes(1, 2) if first else each for each in (given, expected))
    found = np.asarray(jax.jit(lambda signal: layer(signal))(given))
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
