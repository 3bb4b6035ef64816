"""The network of a run: its layers, the size of its players, and what the best is judged by."""

from typing import NamedTuple

from apps.config import Config
from apps.pages.markup import Markup, element, join, table
from apps.pages.reading import Read


class Layer(NamedTuple):
    """A row of the table."""

    name: str
    kind: str
    output: str
    parameters: int
    receptive_field: str


class Network(NamedTuple):
    """What a run trains.

    Attributes:
        product: The player that is used afterwards.
        layers: Its layers.
        parameters: How many each player learns.
        best: The metric by which checkpoints are compared; the lowest is best.
    """

    product: str
    layers: tuple[Layer, ...]
    parameters: dict[str, int]
    best: str


def network(run: Read) -> Network | str:
    """Read off what a run trains, from its settings alone; or say why that cannot be told."""
    import equinox as eqx
    import jax

    import convt1d
    from apps import build

    try:
        signal = build.stored_signal(run.folder)
        aim = build.objective(run.config, signal)
        # Shapes alone: nothing is computed.
        state = eqx.filter_eval_shape(lambda: build.state(run.config, signal))
        models = {name: player.model for name, player in state.players.items()}
        rows = convt1d.summary(models[aim.product], signal.length)
    except Exception as error:  # a run folder may be of another release, or damaged
        return f"{type(error).__name__}: {error}"
    layers = [
        Layer(
            row.name.replace("stages.", "").replace("branches.", ""),
            row.kind,
            f"{row.length} × {row.channels}",
            row.parameters,
            f"{row.receptive_field:,}",
        )
        for row in rows
    ]
    learned = {
        name: sum(
            leaf.size for leaf in jax.tree.leaves(eqx.filter(model, convt1d.trainable(model)))
        )
        for name, model in models.items()
    }
    return Network(aim.product, tuple(layers), learned, aim.best)


def shown(found: Network | str) -> Markup:
    """The network as a table."""
    if isinstance(found, str):
        return element("p", f"The layers cannot be told: {found}", class_="soft")
    total = sum(layer.parameters for layer in found.layers)
    others = [f"{n}: {c:,} parameters" for n, c in found.parameters.items() if n != found.product]
    layers = table(
        ("layer", "kind", "output", "parameters", "receptive field"),
        [
            (each.name, each.kind, each.output, f"{each.parameters:,}", each.receptive_field)
            for each in found.layers
        ],
        caption=f"{found.product}, {total:,} parameters",
        numbers=(2, 3, 4),
    )
    return join([layers, element("p", "; ".join(others), class_="soft") if others else None])


def kind(config: Config) -> str:
    """What is trained on what, in a few words."""
    names = {
        "vae": "a VAE", "vae_gan": "a VAE-GAN", "gan": "a GAN", "vocoder": "a vocoder",
        "upsampler": "an upsampler",
    }  # fmt: skip
    aim, data = str(config.objective.kind), str(config.data.kind)
    return f"{names.get(aim, aim)} of {data.replace('_', ' ')}"
