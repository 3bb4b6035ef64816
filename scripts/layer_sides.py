"""The sides of `bench_layers.py`: the same layer in each library, built as its users build it.

Weights come in the order of our layers, ``(K, O, I/g)`` or ``(K, I/g, O)`` for a convolution, and
each library's own layout is made from it once, outside the measurement. Signals are channels-last,
except for the libraries whose only layout is channels-first.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from layer_cases import Case
from layer_floor import floor
from numpy.typing import NDArray

SIDES = {
    "ours": ("jax", "equinox", "convt1d"),
    "ours:gemm": ("jax", "equinox", "convt1d"),
    "ours:subpixel": ("jax", "equinox", "convt1d"),
    "ours:lax": ("jax", "equinox", "convt1d"),
    "ours:shifted": ("jax", "equinox", "convt1d"),
    "floor": ("jax",),
    "torch": ("torch",),
    "lax": ("jax",),
    "equinox": ("jax", "equinox"),
    "flax": ("jax", "flax"),
    "haiku": ("jax", "haiku"),
    "keras": ("jax", "keras"),
    "brainstate": ("jax", "brainstate"),
}


class Native(NamedTuple):
    """A layer as a function of signal and weight, and the layouts it wants them in."""

    apply: Callable[[Any, Any], Any]
    weight: Callable[[NDArray], NDArray]
    channels_first: bool = False


# --------------------------------------------------------------------------- weights' layouts


def same(w: NDArray) -> NDArray:
    """As ours."""
    return w


def flipped(w: NDArray) -> NDArray:
    """Taps in reverse."""
    return w[::-1]


def flipped_swapped(w: NDArray) -> NDArray:
    """``(K, O, I/g) -> (K, I/g, O)``, taps in reverse."""
    return w[::-1].swapaxes(1, 2)


def flipped_last(w: NDArray) -> NDArray:
    """``(K, O, I/g) -> (O, I/g, K)``, taps in reverse."""
    return w[::-1].transpose(1, 2, 0)


def last(w: NDArray) -> NDArray:
    """``(K, I/g, O) -> (O, I/g, K)``."""
    return w.transpose(2, 1, 0)


def torch_layout(case: Case) -> Callable[[NDArray], NDArray]:
    """``(K, O, I/g) -> (I, O/g, K)``, or as equinox for a convolution."""

    def transposed(w: NDArray) -> NDArray:
        taps, out, per_group = w.shape
        blocks = w.reshape(taps, case.groups, out // case.groups, per_group)
        return blocks.transpose(1, 3, 2, 0).reshape(case.inputs, out // case.groups, taps)

    return transposed if case.transposed else last


# --------------------------------------------------------------------------------- JAX's sides


def ours(case: Case, lowering: Any = "auto") -> Native:
    """`convt1d.ConvTranspose1d` or `convt1d.Conv1d`."""
    import equinox as eqx

    import convt1d
    from convt1d._trilinear import LOWERINGS

    if lowering not in LOWERINGS:
        raise NotImplementedError("no such lowering")
    if case.padding is not None:
        layer = convt1d.Conv1d(
            case.inputs, case.outputs, case.kernel, stride=case.stride, padding=case.padding,
            dilation=case.dilation, groups=case.groups, b_init=None, lowering=lowering,
        )  # fmt: skip
    else:
        sizes = (case.length, case.inputs)
        layer = convt1d.ConvTranspose1d(
            sizes[::-1] if case.channels_first else sizes, case.outputs, case.kernel,
            stride=case.stride, padding="VALID", rhs_dilation=case.dilation, groups=case.groups,
            channel_first=case.channels_first, lowering=lowering,
        )  # fmt: skip
    return Native(
        lambda x, w: eqx.tree_at(lambda layer: layer.weight, layer, w)(x), same, case.channels_first
    )


def lax(case: Case) -> Native:
    """`jax.lax.conv_general_dilated`, which is cuDNN on a GPU."""
    import jax

    edge = case.extent - 1
    gaps = max(case.stride - case.extent, 0)
    words = ("NCH", "HIO", "NCH") if case.channels_first else ("NHC", "HIO", "NHC")

    def apply(x: Any, w: Any) -> Any:
        return jax.lax.conv_general_dilated(
            x, w,
            window_strides=(1 if case.transposed else case.stride,),
            padding=[case.padding or (edge, edge + gaps)],
            lhs_dilation=(case.stride if case.transposed else 1,),
            rhs_dilation=(case.dilation,),
            dimension_numbers=words,
            feature_group_count=case.groups,
        )  # fmt: skip

    return Native(apply, flipped_swapped if case.transposed else same, case.channels_first)


def equinox(case: Case) -> Native:
    """`equinox.nn`, one example at a time under `vmap`, channels first."""
    import equinox as eqx
    import jax

    kind: Any = eqx.nn.ConvTranspose1d if case.transposed else eqx.nn.Conv1d
    more: dict[str, Any] = {"padding": 0, "output_padding": max(case.stride - case.extent, 0)}
    layer = kind(
        case.inputs, case.outputs, case.kernel, stride=case.stride, dilation=case.dilation,
        groups=case.groups, use_bias=False, key=jax.random.key(0),
        **(more if case.transposed else {"padding": [case.padding]}),
    )  # fmt: skip
    return Native(
        lambda x, w: jax.vmap(eqx.tree_at(lambda layer: layer.weight, layer, w))(x),
        flipped_last if case.transposed else last,
        channels_first=True,
    )


def _dense_only(case: Case, *, dilation: bool = True, first: bool = True) -> None:
    """What the transposed layer of a library cannot say."""
    if not case.transposed:
        raise NotImplementedError("convolutions are compared with lax, equinox and torch alone")
    if case.groups > 1:
        raise NotImplementedError("has no groups")
    if case.dilation > 1 and not dilation:
        raise NotImplementedError("has no kernel dilation with a stride")
    if case.channels_first and not first:
        raise NotImplementedError("has no channels-first layout")


def flax(case: Case) -> Native:
    """`flax.linen.ConvTranspose`; that of `nnx` calls the same operation."""
    import flax.linen as nn  # pyright: ignore[reportMissingImports]

    _dense_only(case, first=False)
    layer = nn.ConvTranspose(
        case.outputs, (case.kernel,), strides=(case.stride,), padding="VALID",
        kernel_dilation=(case.dilation,), use_bias=False,
    )  # fmt: skip
    return Native(lambda x, w: layer.apply({"params": {"kernel": w}}, x), flipped_swapped)


def haiku(case: Case) -> Native:
    """`haiku.Conv1DTranspose`."""
    import haiku as hk  # pyright: ignore[reportMissingImports]

    _dense_only(case, dilation=False)
    layout = "NCW" if case.channels_first else "NWC"
    layer = hk.without_apply_rng(
        hk.transform(
            lambda x: hk.Conv1DTranspose(
                case.outputs, case.kernel, stride=case.stride, padding="VALID", with_bias=False,
                data_format=layout, name="layer",
            )(x)
        )
    )  # fmt: skip
    return Native(lambda x, w: layer.apply({"layer": {"w": w}}, x), flipped, case.channels_first)


def keras(case: Case) -> Native:
    """`keras.layers.Conv1DTranspose` with the JAX backend."""
    import keras  # pyright: ignore[reportMissingImports]

    _dense_only(case, dilation=case.stride == 1)
    if case.number_type.startswith("complex"):
        raise NotImplementedError("has no complex numbers")
    layer = keras.layers.Conv1DTranspose(
        case.outputs, case.kernel, strides=case.stride, padding="valid", use_bias=False,
        dilation_rate=case.dilation, dtype=case.number_type,
        data_format="channels_first" if case.channels_first else "channels_last",
    )  # fmt: skip
    sizes = (case.batch, case.length, case.inputs)
    layer.build((sizes[0], sizes[2], sizes[1]) if case.channels_first else sizes)
    return Native(lambda x, w: layer.stateless_call([w], [], x)[0], same, case.channels_first)


def brainstate(case: Case) -> Native:
    """`brainstate.nn.ConvTranspose1d` as a function of its parameters (0.5 or newer)."""
    import brainstate  # pyright: ignore[reportMissingImports]

    if not case.transposed:
        _dense_only(case)
    sizes = (case.length, case.inputs)
    layer = brainstate.nn.ConvTranspose1d(
        sizes[::-1] if case.channels_first else sizes, case.outputs, case.kernel,
        stride=case.stride, padding="VALID", rhs_dilation=case.dilation, groups=case.groups,
        channel_first=case.channels_first,
    )  # fmt: skip
    return Native(lambda x, w: layer._conv_op(x, {"weight": w}), same, case.channels_first)


LAYERS: dict[str, Callable[[Case], Native]] = {
    **{"ours": ours, "lax": lax, "equinox": equinox, "flax": flax, "haiku": haiku},
    **{"keras": keras, "brainstate": brainstate},
    **{
        side: functools.partial(ours, lowering=side.split(":")[1])
        for side in SIDES
        if side.startswith("ours:")
    },
}


def in_jax(case: Case, native: Native) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """Forward, forward and backward, and their three arguments on the device."""
    import jax
    import jax.numpy as jnp

    def forward(x: Any, w: Any) -> Any:
        if case.around == "scan":
            return jax.lax.scan(lambda _, step: (None, native.apply(step, w)), None, x)[1]
        if case.around == "vmap":
            return jax.vmap(lambda one: native.apply(one[None], w)[0])(x)
        return native.apply(x, w)

    def both(x: Any, w: Any, y: Any) -> Any:
        out, pull = jax.vjp(forward, x, w)
        return out, *pull(y)

    x, w, y = case.numbers()
    if native.channels_first:
        x, y = x.swapaxes(-1, -2), y.swapaxes(-1, -2)
    arguments = [jnp.asarray(array, case.number_type) for array in (x, native.weight(w), y)]
    return jax.jit(forward), jax.jit(both), arguments


def set_precision(case: Case, backend: str) -> None:
    """Number types and products as the case wants them, for all that JAX does from here on."""
    import jax

    jax.config.update("jax_enable_x64", case.number_type in ("float64", "complex128"))
    if backend != "cpu":
        products = "tensorfloat32" if case.dtype == "tf32" else "highest"
        jax.config.update("jax_default_matmul_precision", products)


# -------------------------------------------------------------------------------------- torch


def in_torch(
    case: Case, backend: str
) -> tuple[Callable[..., Any], Callable[..., Any], list[Any], Callable[[Any], object]]:
    """The same of PyTorch, and what waits for its device."""
    import torch  # pyright: ignore[reportMissingImports]

    functional: Any = torch.nn.functional
    device = "cpu" if backend == "cpu" else "cuda"
    if device == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = case.dtype == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = case.dtype == "tf32"
    shared = {"stride": case.stride, "dilation": case.dilation, "groups": case.groups}

    def apply(x: Any, w: Any) -> Any:
        if case.padding is None:
            gaps = max(case.stride - case.extent, 0)
            return functional.conv_transpose1d(x, w, output_padding=gaps, **shared)
        low, high = case.padding
        if low == high:
            return functional.conv1d(x, w, padding=low, **shared)
        return functional.conv1d(functional.pad(x, (low, high)), w, **shared)

    def run(x: Any, w: Any) -> Any:
        return [apply(step, w) for step in x] if case.around == "scan" else [apply(x, w)]

    def forward(x: Any, w: Any) -> Any:
        with torch.no_grad():
            return run(x, w)

    def both(x: Any, w: Any, y: Any) -> Any:
        out = run(x, w)
        return out, *torch.autograd.grad(out, (x, w), list(y) if case.around == "scan" else [y])

    x, w, y = case.numbers()
    arrays = (x.swapaxes(-1, -2), torch_layout(case)(w), y.swapaxes(-1, -2))
    arrays = [np.ascontiguousarray(array) for array in arrays]
    kind = getattr(torch, case.number_type)
    x, w, y = (torch.from_numpy(array).to(device=device, dtype=kind) for array in arrays)
    wait: Any = (lambda _: torch.cuda.synchronize()) if device == "cuda" else (lambda _: None)
    return forward, both, [x.requires_grad_(), w.requires_grad_(), y], wait


# --------------------------------------------------------------------------------- what to run


def prepare(side: str, case: Case, backend: str) -> Mapping[str, Callable[[], object]]:
    """The two passes of a side, each of which waits for its result."""
    if side == "torch":
        forward, both, (x, w, y), wait = in_torch(case, backend)
    else:
        import jax

        wait: Callable[[Any], object] = jax.block_until_ready
        set_precision(case, backend)
        made = floor(case) if side == "floor" else in_jax(case, LAYERS[side](case))
        forward, both, (x, w, y) = made
    return {
        "forward": lambda: wait(forward(x, w)),
        "forward + backward": lambda: wait(both(x, w, y)),
    }


def results(side: str, case: Case) -> list[NDArray]:
    """Output, gradient of the input and of the weight, all in our layout, for comparison."""
    if side == "torch":
        _, both, arguments, _ = in_torch(case, "cpu")
        out, dx, dw = both(*arguments)
        out = np.stack([step.detach().numpy() for step in out])
        y, x, theirs = out if case.around == "scan" else out[0], dx.numpy(), dw.numpy()
        first, layout = True, torch_layout(case)
    else:
        set_precision(case, "cpu")
        native = LAYERS[side](case)
        _, both, arguments = in_jax(case, native)
        y, x, theirs = (np.asarray(array) for array in both(*arguments))
        first, layout = native.channels_first, native.weight
    if first:
        y, x = y.swapaxes(-1, -2), x.swapaxes(-1, -2)
    # Where each number of our layout lies in theirs, by sending the places through.
    shape = case.numbers()[1].shape
    places = layout(np.arange(np.prod(shape)).reshape(shape))
    w = np.empty(shape, theirs.dtype)
    w.reshape(-1)[places.reshape(-1)] = theirs.reshape(-1)
    return [y, x, w]
