"""Models on disk: the weights as safetensors, what they belong to as JSON. No code, no pickle."""

import dataclasses
import inspect
import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from convt1d._activations import Snake, SnakeBeta
from convt1d._convolution import Conv1d
from convt1d._earlier import present_name, renewed
from convt1d._layers import ConvTranspose1d
from convt1d._parameters import Frozen
from convt1d._pqmf import PQMF
from convt1d._weight_norm import WeightNorm
from convt1d.models import (
    VAE,
    Banded,
    BandedEncoder,
    Components,
    Conditional,
    ConditionalEncoder,
    Decoder,
    Encoder,
    Flow,
    Heads,
    Layout,
    MelFrontEnd,
    SeriesUpsampler,
    Upsampler,
    Vocoder,
)

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"
FORMAT = 2

_CLASSES = {
    kind.__name__: kind
    for kind in (
        *(VAE, Decoder, Encoder, Layout, Conditional, ConditionalEncoder, Components, Flow),
        *(Upsampler, SeriesUpsampler, Vocoder, MelFrontEnd),
        *(Banded, BandedEncoder, Heads, PQMF),
        *(ConvTranspose1d, Conv1d, Snake, SnakeBeta, WeightNorm),
    )
}


def save(folder: str | Path, model: eqx.Module, *, extra: dict[str, Any] | None = None) -> None:
    """Write ``model`` into ``folder`` as ``model.safetensors`` and ``model.json``.

    Args:
        folder: made if it is not there; the two files in it are replaced.
        model: one of the library's layers or models.
        extra: anything JSON can hold that should travel along, such as the sampling rate.

    Raises:
        ValueError: if ``model`` is not of a class that `load` could build again.

    Example:
        >>> import tempfile, convt1d
        >>> layer = convt1d.ConvTranspose1d((28, 16), 8, 4, stride=2)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     convt1d.save(folder, layer, extra={"rate": 8000})
        ...     again, extra = convt1d.load(folder), convt1d.load_description(folder)["extra"]
        >>> bool((again.weight == layer.weight).all()), extra
        (True, {'rate': 8000})
    """
    text = json.dumps({"format": FORMAT, "model": _describe(model), "extra": extra or {}}, indent=2)
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    arrays = {name: np.ascontiguousarray(array) for name, array in _arrays(model).items()}
    save_file(arrays, path / WEIGHTS)
    (path / DESCRIPTION).write_text(text + "\n", encoding="utf-8")


def load(folder: str | Path) -> Any:
    """Read the model that `save` wrote into ``folder``.

    Raises:
        FileNotFoundError: if one of the two files is missing.
        ValueError: if one of them is damaged, or they do not belong together: every missing,
            unknown or misshapen array is named.

    Example: see `save`.
    """
    description = load_description(folder)
    early = description["format"] < FORMAT
    described = renewed(description.get("model")) if early else description.get("model")
    try:
        template = eqx.filter_eval_shape(lambda: _build(described))
    except Exception as error:  # whatever a constructor stumbles over, the file is what is wrong
        reason = str(error).partition("\n")[0][:300] or type(error).__name__
        raise ValueError(
            f"{Path(folder, DESCRIPTION)} describes no model that can be built: {reason}"
        ) from error
    arrays = _read_arrays(_existing(folder, WEIGHTS))
    if early:
        arrays = {present_name(name): array for name, array in arrays.items()}
    wanted = _arrays(template)
    problems = [
        *(f"{name} is missing" for name in wanted if name not in arrays),
        *(f"{name} is unknown" for name in arrays if name not in wanted),
        *(
            f"{name} has shape {arrays[name].shape} instead of {leaf.shape}"
            for name, leaf in wanted.items()
            if name in arrays and arrays[name].shape != leaf.shape
        ),
    ]
    if problems:
        raise ValueError(
            f"{Path(folder, WEIGHTS)} does not fit {Path(folder, DESCRIPTION)}: "
            f"{'; '.join(problems)}."
        )
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jax.numpy.asarray(arrays[_name(path)]) if _is_array(leaf) else leaf,
        template,
    )


def load_description(folder: str | Path) -> dict[str, Any]:
    """What `save` wrote beside the weights: ``format``, ``model`` and ``extra``.

    Raises:
        FileNotFoundError: if there is no description in ``folder``.
        ValueError: if it is not one that this version reads.

    Example: see `save`.
    """
    path = _existing(folder, DESCRIPTION)
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}.") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found not in (1, FORMAT):
        raise ValueError(
            f"{path} has format {found!r}, but this version reads formats 1 and {FORMAT}: use the "
            "version that wrote it."
        )
    return description


def _existing(folder: str | Path, name: str) -> Path:
    path = Path(folder, name)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is not there: `folder` must be one that convt1d.save wrote."
        )
    return path


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except (SafetensorError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is damaged: {error}.") from error


def _describe(value: Any) -> Any:
    """The class and constructor arguments of a module, down to plain JSON."""
    if isinstance(value, Layout):
        return {"class": "Layout", "arguments": dataclasses.asdict(value)}
    if not isinstance(value, eqx.Module):
        return value
    kind = type(value)
    if kind.__name__ not in _CLASSES:
        raise ValueError(
            f"a {kind.__name__} cannot be saved: it must be one of {', '.join(_CLASSES)}."
        )
    match value:
        case ConvTranspose1d():
            arguments = _layer_arguments(value)
        case Conv1d():
            arguments = _fields(value, leave=("w_init", "b_init", "param_dtype"))
            arguments["b_init"] = None if value.bias is None else 0.0
        case _:
            arguments = _fields(value)
    return {"class": kind.__name__, "arguments": arguments}


def _fields(value: eqx.Module, *, leave: tuple[str, ...] = ()) -> dict[str, Any]:
    """The constructor's arguments, each kept by the module in a field of the same name."""
    names = [n for n in inspect.signature(type(value)).parameters if n not in ("key", *leave)]
    return {name: _describe(getattr(value, name)) for name in names}


def _layer_arguments(layer: ConvTranspose1d) -> dict[str, Any]:
    """A transposed layer's arguments, with its padding as the crop that it came to."""
    leave = ("padding", "w_init", "b_init", "w_mask", "param_type", "param_dtype")
    arguments = _fields(layer, leave=leave)
    low, high = layer.crop
    arguments["crop"] = (low, high + layer.output_padding)
    arguments["b_init"] = None if layer.bias is None else 0.0
    if layer.w_mask is not None:
        mask = layer.w_mask.array
        arguments["w_mask"] = {"dtype": mask.dtype.name, "values": mask.tolist()}
    if not eqx.is_array(layer.weight):
        if not isinstance(layer.weight, Frozen):
            raise ValueError(
                f"a weight of type {type(layer.weight).__name__} cannot be saved: only bare arrays "
                "and convt1d.Frozen can."
            )
        arguments["param_type"] = "Frozen"
    return arguments


def _build(description: Any) -> Any:
    """The module that a description stands for; its arrays are still to be filled."""
    if isinstance(description, list):
        return tuple(_build(item) for item in description)
    if not isinstance(description, dict):
        return description
    named, given = description.get("class"), description.get("arguments")
    kind = _CLASSES.get(named) if isinstance(named, str) else None
    if kind is None:
        raise ValueError(f"it names the class {named!r}, which is none of {', '.join(_CLASSES)}")
    if not isinstance(given, dict):
        raise TypeError(f"a {named} has its arguments by name, got {given!r}")
    mask = given.get("w_mask")
    arguments = {name: _build(value) for name, value in given.items() if name != "w_mask"}
    if mask is not None:
        arguments["w_mask"] = np.asarray(mask["values"], mask["dtype"])
    if arguments.pop("param_type", None) == "Frozen":
        arguments["param_type"] = Frozen
    if "key" in inspect.signature(kind).parameters:
        arguments["key"] = jax.random.key(0)
    return kind(**arguments)


def _arrays(model: PyTree) -> dict[str, Any]:
    """The array leaves by their dotted names."""
    leaves = jax.tree_util.tree_leaves_with_path(model)
    return {_name(path): leaf for path, leaf in leaves if _is_array(leaf)}


def _is_array(leaf: Any) -> bool:
    return eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct)


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
