"""What a model is made of, layer by layer, as rows of a table."""

import dataclasses
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import equinox as eqx
import jax

from convt1d._convolution import Conv1d
from convt1d._geometry import kernel_extent
from convt1d._parameters import trainable
from convt1d.models.bands import Banded, BandedEncoder, Heads
from convt1d.models.blocks import Layer, plain
from convt1d.models.components import Components
from convt1d.models.conditional import Conditional, ConditionalEncoder
from convt1d.models.decoders import Decoder
from convt1d.models.encoders import Encoder
from convt1d.models.flow import Flow
from convt1d.models.recurrent import LSTM
from convt1d.models.series_upsampler import SeriesUpsampler
from convt1d.models.upsampler import Upsampler
from convt1d.models.vae import VAE
from convt1d.models.vocoder import Vocoder


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


def summary(model: eqx.Module, length: int) -> list[Row]:
    """The layers of ``model`` for a signal of ``length`` samples, in the order of passing.

    The vectors of labels are looked up, not passed: their row is of length one, and so is that of
    a learnt prior, which has one for all of its layers.

    Args:
        model: one of `convt1d.models`.
        length: of the signal that it makes or takes.

    Raises:
        ValueError: if ``model`` is of another class.

    Example:
        >>> import jax, convt1d
        >>> layout = convt1d.models.Layout(strides=(4, 2), channels=(16, 8, 4), dilations=())
        >>> decoder = convt1d.models.Decoder(1, 16, layout, key=jax.random.key(0))
        >>> [row.length for row in convt1d.summary(decoder, 80)]
        [10, 40, 80, 80]
    """
    return list(_rows("", model, length, _Place()))


@dataclasses.dataclass
class _Place:
    """Between two layers: how long the signal is there, and what one of its samples has seen."""

    at: int = 0
    field: Fraction | float = Fraction(1)
    spacing: Fraction = Fraction(1)  # both in samples of the network's input

    def pass_by(self, *, extent: int, stride: int = 1, up: bool = False) -> None:
        """Go through a convolution, or a transposed one."""
        if up:
            self.field += (-(-extent // stride) - 1) * self.spacing
            self.spacing /= stride
        else:
            self.field += (extent - 1) * self.spacing
            self.spacing *= stride

    def row(self, name: str, kind: str, channels: int, parameters: int) -> Row:
        """What has just been passed."""
        seen = math.inf if self.field == math.inf else math.ceil(self.field)
        return Row(name, kind, self.at, channels, parameters, seen)


def _rows(prefix: str, model: Any, length: int, place: _Place) -> Iterator[Row]:
    """The rows of a model or of a part called ``prefix``; ``place`` is moved behind it."""

    def named(name: str) -> str:
        return f"{prefix}.{name}".strip(".")

    match model:
        case Decoder() | Encoder():
            yield from _layer_rows(prefix, model, length, place)
        case VAE():
            yield from _rows(named("encoder"), model.encoder, length, place)
            yield from _rows(named("decoder"), model.decoder, length, _Place())
            if model.prior is not None:
                yield _whole(named("prior"), model.prior, f"Flow of {model.prior.blocks} blocks")
        case Components():
            for part, layers in (
                ("levels", model.levels), ("trends", model.trends), ("cycles", model.cycles),
            ):  # fmt: skip
                for number, layer in enumerate(layers):
                    row = _through(named(f"{part}.{number}"), layer, _count(layer), _Place(at=1))
                    yield row._replace(kind="Dense")
            yield from _rows(named("decoder"), model.decoder, length, place)
        case Vocoder():
            yield from _rows(named("decoder"), model.decoder, length, place)
        case Conditional() | ConditionalEncoder():
            if model.vectors is not None:
                kind = f"Embedding of {model.classes}"
                yield Row(named("vectors"), kind, 1, model.embedding, model.vectors.size, 1)
            part = "decoder" if isinstance(model, Conditional) else "encoder"
            yield from _rows(named(part), getattr(model, part), length, place)
        case Upsampler() | SeriesUpsampler():
            yield from _upsampler_rows(prefix, model, length, place)
        case Heads():
            yield from _rows(named("decoder"), model.decoder, length, place)
            yield from _head_rows(prefix, model, place)
        case Banded():
            bands = model.pqmf.bands
            yield from _rows(named("decoder"), model.decoder, -(-length // bands), place)
            place.pass_by(extent=model.pqmf.filters.array.shape[1], stride=bands, up=True)
            place.at *= bands
            yield place.row(named("pqmf"), f"PQMF s{bands}", model.signal, 0)
        case BandedEncoder():
            bands = model.pqmf.bands
            place.pass_by(extent=model.pqmf.filters.array.shape[1], stride=bands)
            place.at = -(-length // bands)
            yield place.row(named("pqmf"), f"PQMF s{bands}", model.encoder.signal, 0)
            yield from _rows(named("encoder"), model.encoder, place.at, place)
        case _:
            raise ValueError(
                f"`model` is a {type(model).__name__}, which is none of convt1d.models: "
                "summarise the models that it is made of."
            )


def _whole(name: str, flow: Flow, kind: str) -> Row:
    """One row for a network beside the signal's way."""
    blind = (flow.kernel_size - 1) * (flow.blocks + 1) + 1
    return Row(name, kind, 1, flow.latent, _count(flow), blind)


def _count(part: eqx.Module) -> int:
    """Learned numbers of a part."""
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(part, trainable(part))))


def _upsampler_rows(
    prefix: str, model: Upsampler | SeriesUpsampler, length: int, place: _Place
) -> Iterator[Row]:
    """Base and detail lie side by side."""
    beside = _Place(at=-(-length // model.factor))
    learned = 0 if isinstance(model, Upsampler) else model.base.weight.size
    yield _through(f"{prefix}.base".strip("."), model.base, learned, beside)
    yield from _rows(f"{prefix}.detail".strip("."), model.detail, length, place)
    if isinstance(model, Upsampler):
        yield _through(f"{prefix}.sieve".strip("."), model.sieve, 0, place)


def _layer_rows(prefix: str, part: Decoder | Encoder, length: int, place: _Place) -> Iterator[Row]:
    place.at = length if isinstance(part, Encoder) else -(-length // part.hop)
    counts, branches = _parameters_by_layer(part), _Branches()
    for own, layer in part.layers():
        name = f"{prefix}.{own}".strip(".")
        place.field = branches.before(own, place.field)
        dense = part.length is not None and own == (
            "first" if isinstance(part, Decoder) else "last"
        )
        if dense and isinstance(part, Encoder):
            place.at = 1
        row = _through(name, layer, counts[own], place)
        if dense:
            row = row._replace(kind="Dense")
        if dense and isinstance(part, Decoder):
            place.at = part.frames
            row = row._replace(length=place.at, channels=part.layout.channels[0])
        yield row


def _head_rows(prefix: str, heads: Heads, place: _Place) -> Iterator[Row]:
    """The heads, each of which begins where the decoder's features end."""
    counts, begin = _parameters_by_layer(heads), dataclasses.replace(place)
    for own, layer in list(heads.layers())[len(list(heads.decoder.layers())) :]:
        here = place if own.startswith("noise") and not own.endswith(".0") else begin
        place = dataclasses.replace(here)
        yield _through(f"{prefix}.{own}".strip("."), layer, counts[own], place)


def _through(name: str, layer: Layer | LSTM, parameters: int, place: _Place) -> Row:
    """The row of one layer."""
    if isinstance(layer, LSTM):
        place.field = math.inf
        return place.row(name, "LSTM", layer.channels, parameters)
    convolution = plain(layer)
    place.at = convolution.out_length(place.at)
    taps = f"K{convolution.kernel_size[0]}"
    if isinstance(convolution, Conv1d):
        stride, dilation = convolution.stride, convolution.dilation
        extent = kernel_extent(convolution.kernel_size[0], dilation)
        place.pass_by(extent=extent, stride=stride)
    else:
        stride, dilation = convolution.spacing, 1
        place.pass_by(extent=convolution.extent, stride=stride, up=True)
    factor = f" s{stride}" if stride > 1 else ""
    kind = f"{type(convolution).__name__} {taps}{factor}"
    kind += f" d{dilation}" if dilation > 1 else ""
    return place.row(name, kind, convolution.out_channels, parameters)


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


def _parameters_by_layer(part: Decoder | Encoder | Heads) -> dict[str, int]:
    """Learned numbers of each layer; an activation's count with the layer that follows it."""
    names = [name for name, _ in part.layers()]
    counts = dict.fromkeys(names, 0)
    for path, leaf in jax.tree_util.tree_leaves_with_path(eqx.filter(part, trainable(part))):
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
