"""The vocoder: sound from the mel spectra of sound.

One player, `"vocoder"`, with `front_end(signal) -> mel` and `vocoder(mel) -> signal`, all batched
and channels last; and `"critic"` from one step on, where there is one. The loss is

    mel_weight · (mean |Δ log-mel| of its own front end + mel distance at n_ffts)

and, with a critic, what it says of the made signal, and how its features differ.

Source: Kong, Kim and Bae, HiFi-GAN (2020), section 2.3: weights 45 (mel), 2 (features) and 1.
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Scalar
from numpy.typing import NDArray

from apps.engine.sample import Sample
from apps.metrics import audio
from apps.objectives import losses, maker
from apps.objectives.adversary import Adversary
from apps.objectives.batches import signal_of
from apps.objectives.draws import Signals, beside
from apps.objectives.objective import Look, Objective

PLAYER = "vocoder"
FIRST = "regression: mel spectra alone"
SECOND = "adversarial: the critic is on"


class Vocoder(Protocol):
    """What this objective asks of a model."""

    @property
    def hop(self) -> int:
        """Samples of the signal for one frame."""
        ...

    def front_end(
        self, signal: Float[Array, "batch length 1"], /
    ) -> Float[Array, "batch frames bands"]:
        """The log-mels of signals of whole hops."""
        ...

    def __call__(
        self, mel: Float[Array, "batch frames bands"], /
    ) -> Float[Array, "batch length 1"]:
        """The signal of log-mels, a hop for each frame."""
        ...


def objective(
    *,
    rate: int | None,
    n_ffts: Sequence[int] = (),
    bands: Sequence[int] = (),
    mel_weight: float = 45.0,
    adversary: Adversary | None = None,
    adversarial_from: int = 0,
    critic_turns: int = 1,
) -> Objective:
    """The vocoder, as the application takes it.

    Args:
        rate: Samples per second.
        n_ffts: Window lengths, in samples, of further mel distances; none in HiFi-GAN.
        bands: Mel triangles of each of them.
        mel_weight: Weight of all mel distances.
        adversary: The rules of the game with a critic; None trains on spectra alone.
        adversarial_from: The step from which the critic takes part.
        critic_turns: Turns of the critic for one of the vocoder.

    Raises:
        ValueError: If the signals are not sound, `n_ffts` and `bands` differ in number, or there is
            no turn for the critic.
    """
    if rate is None:
        raise ValueError("rate is None: a vocoder makes sound; series have no mel spectra")
    if len(n_ffts) != len(bands):
        raise ValueError(
            f"n_ffts has {len(n_ffts)} scales and bands has {len(bands)}; give one count of mel "
            "bands for each window length"
        )
    likeness = functools.partial(
        mel_likeness, rate=rate, n_ffts=tuple(n_ffts), bands=tuple(bands), weight=mel_weight
    )
    return Objective(
        product=PLAYER,
        phases=maker.phases(
            PLAYER,
            likeness,
            adversary,
            adversarial_from=adversarial_from,
            critic_turns=critic_turns,
            names=(FIRST, SECOND),
        ),
        parts=1 if adversary is None else critic_turns,
        scores=functools.partial(scores, rate=rate),
        samples=functools.partial(samples, rate=rate),
        best="mel_l1",
        watch=None if adversary is None else adversary.watch,
    )


def mel_likeness(
    model: Vocoder,
    signal: Float[Array, "batch length 1"],
    keys: Key[Array, " batch"],
    step: Int[Array, ""],
    *,
    rate: float,
    n_ffts: tuple[int, ...],
    bands: tuple[int, ...],
    weight: float,
) -> tuple[Scalar, dict[str, Scalar], Float[Array, "batch length 1"]]:
    """Vocode the spectra of signals, and compare the spectra of what comes out with them.

    Args:
        model: The vocoder.
        signal: What the spectra are of.
        keys: Nothing here is drawn.
        step: Nothing here changes with it.
        rate: Samples per second.
        n_ffts: Window lengths of further mel distances.
        bands: Mel triangles of each of them.
        weight: Of the sum.

    Returns:
        The weighted sum, its parts (`mel_l1` in nats, `mel_distance` in decades) and the signal
        that was made.
    """
    del keys, step
    mel, made = vocoded(model, signal)
    difference = jnp.mean(jnp.abs(model.front_end(whole_hops(made, model.hop)) - mel))
    further = jnp.zeros((), difference.dtype)
    if n_ffts:
        further = losses.log_mel_distance(made, signal, rate=rate, n_ffts=n_ffts, bands=bands)
    return weight * (difference + further), {"mel_l1": difference, "mel_distance": further}, made


def vocoded(
    model: Vocoder, signal: Float[Array, "batch length 1"]
) -> tuple[Float[Array, "batch frames bands"], Float[Array, "batch length 1"]]:
    """The log-mels of signals, and the signals made of these alone, as long."""
    mel = model.front_end(whole_hops(signal, model.hop))
    return mel, model(mel)[:, : signal.shape[1]]


def whole_hops(
    signal: Float[Array, "batch length 1"], hop: int
) -> Float[Array, "batch padded_length 1"]:
    """A signal with zeros after its end, up to a multiple of the hop."""
    missing = -signal.shape[1] % hop
    return jnp.pad(signal, ((0, 0), (0, missing), (0, 0))) if missing else signal


def samples(
    model: Vocoder, batch: Any, names: Sequence[str] | None = None, *, rate: int
) -> list[Sample]:
    """Held-out signals beside what is made of their spectra.

    Args:
        model: The vocoder.
        batch: Held-out signals.
        names: What to call them; default by number.
        rate: Samples per second.
    """
    signals = np.asarray(signal_of(batch))
    names = names or [str(index + 1) for index in range(len(signals))]
    made, _ = jax.device_get(_pass(model, beside(model, signals.astype(np.float32))))
    return [
        Sample(f"vocoded {name}", each, rate, wanted)
        for name, each, wanted in zip(names, made, signals, strict=True)
    ]


def scores(
    model: Vocoder, batches: Iterable[Any], *, rate: int, look: Look | None = None
) -> dict[str, NDArray[np.float64]]:
    """How near each signal is to what is made of its spectrum.

    Args:
        model: The vocoder.
        batches: Signals, in batches; the last may be smaller.
        rate: Samples per second.
        look: Sees each batch of what is made beside the records.

    Returns:
        One number per signal for each metric: mel_l1 (mean |Δ log-mel| of the model's front end,
        in nats), mel_distance, stft_distance and si_sdr (dB), as in `apps.metrics.audio`.

    Raises:
        ValueError: If there is no batch.
    """
    rows: list[dict[str, NDArray[np.float64]]] = []
    size = None
    for batch in batches:
        wanted: Signals = np.asarray(signal_of(batch), np.float32)
        size = size or len(wanted)
        # A batch smaller than the first is filled up, so that one program serves all.
        filled = np.pad(wanted, ((0, max(size - len(wanted), 0)), (0, 0), (0, 0)))
        found = jax.device_get(_pass(model, beside(model, filled)))
        made, difference = (each[: len(wanted)] for each in found)
        if look is not None:
            look(made, wanted)
        measured = audio.resemblance(made, wanted, rate=rate)
        rows.append({"mel_l1": np.asarray(difference, np.float64), **measured})
    if not rows:
        raise ValueError("batches is empty; there is nothing to measure")
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


@eqx.filter_jit
def _pass(
    model: Vocoder, signal: Float[Array, "batch length 1"]
) -> tuple[Float[Array, "batch length 1"], Float[Array, " batch"]]:
    """What is made of the spectra of signals, and how far its spectra are from theirs."""
    mel, made = vocoded(model, signal)
    again = model.front_end(whole_hops(made, model.hop))
    return made, jnp.mean(jnp.abs(again - mel), axis=(1, 2))
