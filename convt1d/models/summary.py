"""What a model is made of, layer by layer, as rows of a table."""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import equinox as eqx
import jax

from convt1d._convolution import Conv1d
from convt1d._geometry import kernel_extent
from convt1d.models.blocks import Layer, plain
from convt1d.models.conditional import Conditional
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.recurrent import LSTM
from convt1d.models.vae import VAE


class Row(NamedTuple):
    """One layer.

    Attributes:
        name: where it is in the model.
        kind: what it is, with kernel size and factor.
        length: of its output, in its own samples.
        channels: of its output.
        parameters: learned numbers, with those of the activations before it.
        receptive_field: how many samples of the network's input one of its outputs sees; infinity
            from the first recurrent layer on.
    """

    name: str
    kind: str
    length: int
    channels: int
    parameters: int
    receptive_field: int | float


def summary(model: VAE | Conditional | Decoder | Encoder, length: int) -> list[Row]:
    """The layers of ``model`` for a signal of ``length`` samples, in the order of passing.

    A conditional decoder's vectors are looked up, not passed: their rows are of length one.

    Example:
        >>> import jax, convt1d
        >>> layout = convt1d.models.Layout(strides=(4, 2), channels=(16, 8, 4), dilations=())
        >>> decoder = convt1d.models.Decoder(1, 16, layout, key=jax.random.key(0))
        >>> [row.length for row in convt1d.summary(decoder, 80)]
        [10, 40, 80, 80]
    """
    match model:
        case VAE():
            parts = [("encoder", model.encoder), ("decoder", model.decoder)]
        case Conditional():
            kind = f"Embedding of {model.classes}"
            vectors = Row("vectors", kind, 1, model.embedding, model.vectors.size, 1)
            return [vectors, *_rows("decoder", model.decoder, length)]
        case _:
            parts = [("", model)]
    return [row for name, part in parts for row in _rows(name, part, length)]


def _rows(prefix: str, part: Decoder | Encoder, length: int) -> Iterator[Row]:
    at = length if isinstance(part, Encoder) else -(-length // part.hop)
    field, spacing = Fraction(1), Fraction(1)  # in samples of the part's input
    counts, branches = _parameters_by_layer(part), _Branches()
    for own, layer in part.layers():
        name = f"{prefix}.{own}".strip(".")
        field = branches.before(own, field)
        if isinstance(layer, LSTM):
            field = math.inf
            yield Row(name, "LSTM", at, layer.channels, counts[own], field)
            continue
        convolution = plain(layer)
        dense = part.length is not None and own == (
            "first" if isinstance(part, Decoder) else "last"
        )
        at = convolution.out_length(1 if dense and isinstance(part, Encoder) else at)
        if isinstance(convolution, Conv1d):
            extent = kernel_extent(convolution.kernel_size[0], convolution.dilation)
            field += (extent - 1) * spacing
            spacing *= convolution.stride
        else:
            field += (-(-convolution.extent // convolution.spacing) - 1) * spacing
            spacing /= convolution.spacing
        channels = convolution.out_channels
        if dense and isinstance(part, Decoder):
            at, channels = part.frames, part.layout.channels[0]
        seen = field if math.isinf(field) else math.ceil(field)
        yield Row(name, _kind(layer, dense=dense), at, channels, counts[own], seen)


class _Branches:
    """The receptive field on its way through branches that lie side by side."""

    def __init__(self) -> None:
        self.branch, self.entered, self.widest = "", Fraction(1), Fraction(1)

    def before(self, name: str, field: Fraction | float) -> Fraction | float:
        """What one sample has seen before the layer called ``name``, after the one before it."""
        stage, _, place = name.partition(".branches.")
        branch = f"{stage}.{place.partition('.')[0]}" if place else ""
        if branch == self.branch:
            return field
        if not self.branch:
            self.entered = self.widest = field
        self.widest = max(self.widest, field)
        self.branch = branch
        return self.entered if branch else self.widest


def _kind(layer: Layer, *, dense: bool) -> str:
    convolution = plain(layer)
    if dense:
        return "Dense"
    taps = f"K{convolution.kernel_size[0]}"
    factor = f" s{convolution.stride}" if convolution.stride > 1 else ""
    dilation = convolution.dilation if isinstance(convolution, Conv1d) else 1
    return f"{type(convolution).__name__} {taps}{factor}" + (
        f" d{dilation}" if dilation > 1 else ""
    )


def _parameters_by_layer(part: Decoder | Encoder) -> dict[str, int]:
    """Learned numbers of each layer; an activation's count with the layer that follows it."""
    names = [name for name, _ in part.layers()]
    counts = dict.fromkeys(names, 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(part, eqx.is_inexact_array)):
        where = jax.tree_util.keystr(path, simple=True, separator=".")
        owner = next((name for name in names if where.startswith(f"{name}.")), None)
        counts[owner or _next_layer(where, names)] += leaf.size
    return counts


def _next_layer(where: str, names: list[str]) -> str:
    """The layer behind the activation at ``where``."""
    parent, _, _ = where.rpartition(".")  # without `.alpha`
    stage, _, role = parent.rpartition(".")
    followers = {"activation": ("up", "down"), "first": ("dilated",), "second": ("mixing",)}
    for follower in followers.get(role, ("last",)):
        name = f"{stage}.{follower}".strip(".")
        if name in names:
            return name
    return names[-1]
