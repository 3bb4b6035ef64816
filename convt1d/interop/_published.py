"""What the layers of our models are called in the published ones."""

from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias, get_args

from convt1d._geometry import choice
from convt1d.interop._names import parts_of
from convt1d.models import VAE, Decoder, Encoder
from convt1d.models.bands import Banded, Heads

Source: TypeAlias = Literal[
    "dac",
    "encodec",
    "hifigan",
    "oobleck",
    "rave_v1",
    "rave_v2",
    "transformers_dac",
    "transformers_hifigan",
    "transformers_seanet",
]
Names: TypeAlias = Iterator[tuple[str, str]]
"""Our path of a layer or activation, and its name there."""
Model: TypeAlias = Decoder | Encoder
Unit: TypeAlias = Callable[[str, str], Names]
"""The names inside of a residual unit, from our path of it and its name there."""

GATES = {
    "input_weight": "weight_ih",
    "hidden_weight": "weight_hh",
    "input_bias": "bias_ih",
    "hidden_bias": "bias_hh",
}


def published_names(
    model: VAE | Decoder | Encoder | Heads | Banded, source: Source, *, prefix: str = ""
) -> dict[str, str]:
    """The names of a published model's weights, to be the ``names`` of `read_model`.

    ==========================  ===================================================================
    ``source``                  whose names
    ==========================  ===================================================================
    ``"dac"``                   Descript's DAC: ``model.1.block.2.block.1``, ``block.1…``
    ``"transformers_dac"``      `DacModel` of Hugging Face's transformers, and `AutoencoderOobleck`
                                of its diffusers: ``block.0.res_unit1.conv1``
    ``"encodec"``               EnCodec, and Mimi in Moshi: ``model.3.convtr.convtr``
    ``"transformers_seanet"``   `EncodecModel` and `MimiModel` of transformers: ``layers.3.conv``
    ``"hifigan"``               HiFi-GAN: ``ups.0``, ``resblocks.4.convs1.2``
    ``"transformers_hifigan"``  `SpeechT5HifiGan` of transformers: ``upsampler.0``
    ``"oobleck"``               Stable Audio's Oobleck: ``layers.1.layers.2.layers.1``
    ``"rave_v1"``, ``"rave_v2"``  RAVE: ``net.3.aligned.branches.0.net.1``, ``synth.branches.1``
    ==========================  ===================================================================

    Args:
        model: with the layout of the published one, as `convt1d.models.published` makes it. A
            `Decoder`, `Encoder` or `Heads` has the names that its own state dict would have; a
            `VAE` and a `Banded` those of the whole model, ``decoder.…`` and so on.
        source: whose names.
        prefix: what stands before them, such as ``"decoder."``.

    Returns:
        For each path of the model the name there. All three of PyTorch's forms of weight
        normalisation go by the same name.

    Raises:
        ValueError: if ``source`` is none of these, or has nothing like ``model``.

    Source: the state dicts of the named models, by experiment (transformers 5.23) or as their
    sources build them.

    Example:
        >>> import equinox as eqx, jax, convt1d
        >>> from convt1d.models import Decoder, Layout
        >>> layout = Layout(strides=(8, 5), channels=(64, 32, 16), padding="symmetric")
        >>> blank = eqx.filter_eval_shape(lambda: Decoder(1, 8, layout, key=jax.random.key(0)))
        >>> names = convt1d.interop.published_names(blank, "transformers_dac", prefix="decoder.")
        >>> names["stages.1.up"], names["stages.1.activation.alpha"]
        ('decoder.block.1.conv_t1', 'decoder.block.1.snake1.alpha')

        With the weights at hand, ``ignore`` says what of them is not wanted:

        ``decoder = read_model(blank, state, library="torch", names=names, ignore=["encoder.*"])``
    """
    choice("source", source, get_args(Source))
    match model:
        case VAE():
            parts = {"encoder": "encoder.", "decoder": "decoder."}
        case Banded():
            parts = {"decoder": "decoder."}
        case _:
            parts = {}
    names = {"pqmf.filters.array": f"{prefix}pqmf.hk"} if isinstance(model, Banded) else {}
    for part, theirs in parts.items():
        found = published_names(getattr(model, part), source, prefix=prefix + theirs)
        names |= {f"{part}.{path}": name for path, name in found.items()}
    if isinstance(model, Decoder | Encoder | Heads):
        known = dict(_known(model, source))
        names |= {path: prefix + _name(path, known, source) for path in parts_of(model)}
    return names


def _known(model: Decoder | Encoder | Heads, source: str) -> Names:
    """The names that a source has for layers and activations of such a model."""
    if source == "rave_v1" and isinstance(model, Heads):
        return _rave_v1(model)
    match model, source:
        case ((Decoder() | Encoder()), "dac"):
            outer = "model" if isinstance(model, Decoder) else "block"
            return _nested(model, outer=outer, inner="block")
        case ((Decoder() | Encoder()), "oobleck"):
            return _nested(model, outer="layers", inner="layers")
        case ((Decoder() | Encoder()), "transformers_dac"):
            return _named(model)
        case ((Decoder() | Encoder()), "encodec"):
            return _flat(model, "model", _seanet_unit(".conv.conv"), ".conv.conv", ".convtr.convtr")
        case ((Decoder() | Encoder()), "transformers_seanet"):
            return _flat(model, "layers", _seanet_unit(".conv"), ".conv", ".conv")
        case Decoder(), "rave_v2":
            return _flat(model, "net", _rave_unit)
        case Decoder(), "hifigan":
            return _hifigan(model, up="ups")
        case Decoder(), "transformers_hifigan":
            return _hifigan(model, up="upsampler")
    raise ValueError(f"`source` (={source!r}) has nothing like `model`, a {type(model).__name__}.")


def _name(path: str, known: dict[str, str], source: str) -> str:
    """Their name for one of our layers, or for an array in an activation or recurrent layer."""
    if path in known:
        return known[path]
    owner, _, leaf = path.rpartition(".")
    if owner not in known:
        raise ValueError(
            f"`source` (={source!r}) has no name for {path!r} of `model`: give it the published "
            "layout, as convt1d.models.published does."
        )
    if leaf in GATES:
        *_, number = owner.split(".")
        return f"{known[owner]}.{GATES[leaf]}_l{number}"
    return f"{known[owner]}.{leaf.removeprefix('log_')}"  # SnakeBeta's are logarithms there too


def _units(model: Model, stage: int) -> Iterator[tuple[int, int, str]]:
    """Branch and number of each residual unit, and our path of it."""
    for b, units in enumerate(model.stages[stage].branches):
        for u in range(len(units)):
            yield b, u, f"stages.{stage}.branches.{b}.{u}"


def _nested(model: Model, *, outer: str, inner: str) -> Names:
    """Sequences inside of a sequence: DAC, Oobleck."""
    yield "first", f"{outer}.0"
    for i in range(len(model.stages)):
        block, stage = f"{outer}.{i + 1}.{inner}", f"stages.{i}"
        count = len(list(_units(model, i)))
        decodes = isinstance(model, Decoder)
        activation = 0 if decodes else count
        yield f"{stage}.activation", f"{block}.{activation}"
        yield f"{stage}.{'up' if decodes else 'down'}", f"{block}.{activation + 1}"
        for _, u, unit in _units(model, i):
            theirs = f"{block}.{u + 2 if decodes else u}.{inner}"
            for number, part in enumerate(("first", "dilated", "second", "mixing")):
                yield f"{unit}.{part}", f"{theirs}.{number}"
    yield "closing", f"{outer}.{len(model.stages) + 1}"
    yield "last", f"{outer}.{len(model.stages) + 2}"


def _named(model: Model) -> Names:
    """The same in the words of transformers and diffusers."""
    yield "first", "conv1"
    for i in range(len(model.stages)):
        yield f"stages.{i}.activation", f"block.{i}.snake1"
        if isinstance(model, Decoder):
            yield f"stages.{i}.up", f"block.{i}.conv_t1"
        else:
            yield f"stages.{i}.down", f"block.{i}.conv1"
        for _, u, unit in _units(model, i):
            theirs = f"block.{i}.res_unit{u + 1}"
            yield f"{unit}.first", f"{theirs}.snake1"
            yield f"{unit}.dilated", f"{theirs}.conv1"
            yield f"{unit}.second", f"{theirs}.snake2"
            yield f"{unit}.mixing", f"{theirs}.conv2"
    yield "closing", "snake1"
    yield "last", "conv2"


def _flat(model: Model, outer: str, unit: Unit, conv: str = "", up: str = "") -> Names:
    """One sequence of layers, activations and units: SEANet, RAVE v2."""
    yield "first", f"{outer}.0{conv}"
    at = 1
    recurrent = () if model.recurrence is None else model.recurrence.layers
    if isinstance(model, Decoder) and recurrent:
        yield from ((f"recurrence.layers.{i}", f"{outer}.1.lstm") for i in range(len(recurrent)))
        at += 1
    for i in range(len(model.stages)):
        units = [path for _, _, path in _units(model, i)]
        if isinstance(model, Decoder):
            yield f"stages.{i}.up", f"{outer}.{at + 1}{up}"  # an activation before it
            at += 2
        for path in units:
            yield from unit(path, f"{outer}.{at}")
            at += 1
        if isinstance(model, Encoder):
            yield f"stages.{i}.down", f"{outer}.{at + 1}{conv}"
            at += 2
    if isinstance(model, Encoder) and recurrent:
        yield from ((f"recurrence.layers.{i}", f"{outer}.{at}.lstm") for i in range(len(recurrent)))
        at += 1
    yield "last", f"{outer}.{at + 1}{conv}"


def _seanet_unit(conv: str) -> Unit:
    def names(path: str, theirs: str) -> Names:
        yield f"{path}.dilated", f"{theirs}.block.1{conv}"
        yield f"{path}.mixing", f"{theirs}.block.3{conv}"
        yield f"{path}.skip", f"{theirs}.shortcut{conv}"

    return names


def _rave_unit(path: str, theirs: str) -> Names:
    yield f"{path}.dilated", f"{theirs}.aligned.branches.0.net.1"
    yield f"{path}.mixing", f"{theirs}.aligned.branches.0.net.3"


def _rave_v1(model: Heads) -> Names:
    yield "decoder.first", "net.0"
    for i in range(len(model.decoder.stages)):
        yield f"decoder.stages.{i}.up", f"net.{2 * i + 1}.net.1"
        for b, u, path in _units(model.decoder, i):
            theirs = f"net.{2 * i + 2}.net.branches.{b}.net.{u}.net.aligned.branches.0"
            yield f"decoder.{path}.dilated", f"{theirs}.1"
            yield f"decoder.{path}.mixing", f"{theirs}.3"
    yield "wave", "synth.branches.0"
    yield "loudness", "synth.branches.1"
    for i in range(len(model.noise_strides)):
        yield f"noise.layers.{i}", f"synth.branches.2.net.{2 * i}"


def _hifigan(model: Decoder, *, up: str) -> Names:
    yield "first", "conv_pre"
    for i, stage in enumerate(model.stages):
        yield f"stages.{i}.up", f"{up}.{i}"
        for b, u, path in _units(model, i):
            block = f"resblocks.{i * len(stage.branches) + b}"
            single = model.layout.residual == "single"
            yield f"{path}.dilated", f"{block}.convs.{u}" if single else f"{block}.convs1.{u}"
            yield f"{path}.mixing", f"{block}.convs2.{u}"
    yield "last", "conv_post"
