"""The layers of other libraries, as functions of their own arrays.

Each function makes one and returns its state, as the library gives it, and what it computes from
flat names and arrays, put back by the library's own means. Signals are (batch, length, channels).
"""
# pyright: reportMissingImports=false

import os
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from reference.interop_cases import LENGTH, ORIGINS, Case

Apply = Callable[[Mapping[str, np.ndarray], np.ndarray], Any]


def original(origin: str, case: Case) -> tuple[Any, Apply]:
    """The state of the library's layer, and the layer as a function of state and signal."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        state, apply = _MAKERS[origin.partition(".")[0].partition("<")[0]](origin, case)

    def free(arrays: Mapping[str, np.ndarray], x: np.ndarray) -> np.ndarray:
        with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
            return np.asarray(apply(arrays, x))

    return state, free


def flat(state: Any, separator: str) -> dict[str, np.ndarray]:
    """A state by full names."""
    if not isinstance(state, Mapping):
        return {"": np.asarray(state)}
    out = {}
    for key, value in state.items():
        key = separator.join(map(str, key)) if isinstance(key, tuple) else str(key)
        out |= {f"{key}{separator if k else ''}{k}": v for k, v in flat(value, separator).items()}
    return out


def _torch(origin: str, case: Case) -> tuple[Any, Apply]:
    import torch

    kind = torch.nn.ConvTranspose1d if case.transposed else torch.nn.Conv1d
    layer = kind(
        *case.channels, case.kernel_size, case.stride, dilation=case.dilation, groups=case.groups,
        bias=case.bias,
    )  # fmt: skip
    form = ORIGINS[origin].form
    if form == "weight_norm":
        torch.nn.utils.weight_norm(layer, dim=0)
    elif form == "parametrizations":
        torch.nn.utils.parametrizations.weight_norm(layer, dim=0)

    def apply(arrays, x):
        layer.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in arrays.items()})
        return layer(torch.from_numpy(x).mT).mT.detach().numpy()

    return layer.state_dict(), apply


def _equinox(origin: str, case: Case) -> tuple[Any, Apply]:
    import equinox as eqx

    kind = eqx.nn.ConvTranspose1d if case.transposed else eqx.nn.Conv1d
    layer = kind(
        *case.channels, case.kernel_size, stride=case.stride, dilation=case.dilation,
        groups=case.groups, use_bias=case.bias, key=jax.random.key(0),
    )  # fmt: skip

    def apply(arrays, x):
        new = eqx.tree_at(
            lambda it: [getattr(it, name) for name in arrays],
            layer,
            [jnp.asarray(array) for array in arrays.values()],
        )
        return jax.vmap(new)(jnp.asarray(x).swapaxes(1, 2)).swapaxes(1, 2)

    return layer, apply


def _flax_arguments(origin: str, case: Case) -> dict[str, Any]:
    shared = {
        "strides": case.stride, "padding": "VALID", "kernel_dilation": case.dilation,
        "use_bias": case.bias,
    }  # fmt: skip
    if case.transposed:
        return {**shared, "transpose_kernel": origin.endswith("transpose_kernel")}
    return {**shared, "feature_group_count": case.groups}


def _linen(origin: str, case: Case) -> tuple[Any, Apply]:
    import flax.linen as nn
    from flax.traverse_util import unflatten_dict

    kind = nn.ConvTranspose if case.transposed else nn.Conv
    arguments = _flax_arguments(origin, case)
    arguments["strides"] = (arguments["strides"],)
    layer = kind(case.channels[1], (case.kernel_size,), **arguments)
    variables = layer.init(jax.random.key(0), jnp.ones((1, LENGTH, case.channels[0])))

    def apply(arrays, x):
        return layer.apply({"params": unflatten_dict(dict(arrays), sep="/")}, x)

    return variables["params"], apply


def _nnx(origin: str, case: Case) -> tuple[Any, Apply]:
    from flax import nnx
    from flax.traverse_util import unflatten_dict

    kind = nnx.ConvTranspose if case.transposed else nnx.Conv
    arguments = _flax_arguments(origin, case)
    layer = kind(*case.channels, (case.kernel_size,), rngs=nnx.Rngs(0), **arguments)
    graph, state = nnx.split(layer)

    def apply(arrays, x):
        pure = unflatten_dict({k: jnp.asarray(v) for k, v in arrays.items()}, sep="/")
        nnx.replace_by_pure_dict(state, pure)
        return nnx.merge(graph, state)(x)

    return nnx.to_pure_dict(state), apply


def _haiku(origin: str, case: Case) -> tuple[Any, Apply]:
    import haiku as hk

    def layer(x):
        if case.transposed:
            kind = hk.Conv1DTranspose(
                case.channels[1], case.kernel_size, case.stride, padding="VALID",
                with_bias=case.bias, name="up",
            )  # fmt: skip
        else:
            kind = hk.Conv1D(
                case.channels[1], case.kernel_size, case.stride, case.dilation, padding="VALID",
                with_bias=case.bias, feature_group_count=case.groups, name="up",
            )  # fmt: skip
        return kind(x)

    pure = hk.without_apply_rng(hk.transform(layer))
    params = pure.init(jax.random.key(0), jnp.ones((1, LENGTH, case.channels[0])))

    def apply(arrays, x):
        names = [name.rpartition("/") for name in arrays]
        nested = {module: {} for module, _, _ in names}
        for (module, _, name), array in zip(names, arrays.values(), strict=True):
            nested[module][name] = jnp.asarray(array)
        return pure.apply(nested, jnp.asarray(x))

    return params, apply


def _keras(origin: str, case: Case) -> tuple[Any, Apply]:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras

    shared = {
        "strides": case.stride, "padding": "valid", "dilation_rate": case.dilation,
        "use_bias": case.bias, "name": "up",
    }  # fmt: skip
    if case.transposed:
        layer = keras.layers.Conv1DTranspose(case.channels[1], case.kernel_size, **shared)
    else:
        layer = keras.layers.Conv1D(
            case.channels[1], case.kernel_size, groups=case.groups, **shared
        )
    layer.build((None, LENGTH, case.channels[0]))

    def apply(arrays, x):
        layer.set_weights([arrays[variable.path] for variable in layer.weights])
        return layer(x)

    return {variable.path: variable.numpy() for variable in layer.weights}, apply


def _brainstate(origin: str, case: Case) -> tuple[Any, Apply]:
    import brainstate

    kind = brainstate.nn.ConvTranspose1d if case.transposed else brainstate.nn.Conv1d
    layer = kind(
        (LENGTH, case.channels[0]), case.channels[1], case.kernel_size, case.stride,
        padding=_full_of_old(case) if origin.endswith("<0.5") and case.transposed else "VALID",
        rhs_dilation=case.dilation, groups=case.groups,
        b_init=(lambda shape: jnp.zeros(shape)) if case.bias else None,
    )  # fmt: skip
    states = layer.states()

    def apply(arrays, x):
        for path, state in states.items():
            prefix = f"{'.'.join(path)}."
            state.value = {k.removeprefix(prefix): jnp.asarray(v) for k, v in arrays.items()}
        return layer(jnp.asarray(x))

    return {path: state.value for path, state in states.items()}, apply


def _full_of_old(case: Case) -> tuple[int, int]:
    """What brainstate before 0.5 must pad its dilated input by for the full result."""
    extent = (case.kernel_size - 1) * case.dilation + 1
    return extent - 1, extent - 1


_MAKERS = {
    "torch": _torch,
    "equinox": _equinox,
    "linen": _linen,
    "nnx": _nnx,
    "haiku": _haiku,
    "keras": _keras,
    "brainstate": _brainstate,
}
