"""The upsampler: a signal at a high rate from the same at a low one.

One player, `"upsampler"`, which makes `factor` samples of one, and `"critic"` from one step on,
where there is one. The records are of the high rate; what the upsampler is given is made of them,
on the device, by `convt1d.models.Upsampler.low`. The loss is

    stft_weight · multi-resolution STFT + log_spectral_weight · log-spectral distance
    + l1_weight · L1 + l2_weight · mean square

and, with a critic, what it says of the made signal, and how its features differ.
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
from apps.metrics import audio, interpolation, series
from apps.objectives import losses, maker
from apps.objectives.adversary import Adversary
from apps.objectives.batches import signal_of
from apps.objectives.draws import Signals, Unscale, beside
from apps.objectives.objective import Look, Objective
from convt1d._spectral import stft

PLAYER = "upsampler"
FIRST = "regression: spectra and samples alone"
SECOND = "adversarial: the critic is on"
_LONGEST = 256  # window of the log-spectral distance that runs are compared by, samples


class Upsampler(Protocol):
    """What this objective asks of a model."""

    @property
    def factor(self) -> int:
        """Of the rates."""
        ...

    @property
    def offset(self) -> float:
        """Where the first sample of the low rate stands, in samples of the high one."""
        ...

    def low(self, high: Float[Array, "batch samples channels"], /) -> Array:
        """The signal that it is given, of one at the high rate."""
        ...

    def plain(self, low: Float[Array, "batch length channels"], /) -> Array:
        """What is made of it without learning."""
        ...

    def __call__(self, low: Float[Array, "batch length channels"], /) -> Array:
        """`factor` times as many samples."""
        ...


def objective(
    *,
    rate: int | None,
    factor: int,
    unscale: Unscale | None = None,
    n_ffts: Sequence[int] = (64, 128, 256, 512),
    stft_weight: float = 1.0,
    log_spectral_weight: float = 0.0,
    l1_weight: float = 5.0,
    l2_weight: float = 0.0,
    adversary: Adversary | None = None,
    adversarial_from: int = 0,
    critic_turns: int = 1,
) -> Objective:
    """The upsampler, as the application takes it.

    Args:
        rate: Samples per second at the high rate; None for series.
        factor: Of the rates.
        unscale: From the model's units to the data's; None where they are the same.
        n_ffts: Window lengths of the spectra, in samples at the high rate.
        stft_weight: Weight of spectral convergence and mean |Δ log magnitude|; 0 leaves it out.
        log_spectral_weight: Weight of the root mean square over frequency of Δ log10 power, the
            distance that upsamplers are compared by; 0 leaves it out.
        l1_weight: Weight of the mean absolute difference.
        l2_weight: Weight of the mean squared difference; 0 leaves it out.
        adversary: The rules of the game with a critic; None trains without.
        adversarial_from: The step from which the critic takes part.
        critic_turns: Turns of the critic for one of the upsampler.

    Raises:
        ValueError: If sound has a rate that is no multiple of the factor, or there is no turn for
            the critic.
    """
    if rate is not None and rate % factor:
        raise ValueError(
            f"rate is {rate}, which is no multiple of factor = {factor}: the low rate would be no "
            f"whole number; take data.rate={rate - rate % factor or factor} or another factor"
        )
    likeness = functools.partial(
        spectral_likeness,
        n_ffts=tuple(n_ffts),
        stft_weight=stft_weight,
        log_spectral_weight=log_spectral_weight,
        l1_weight=l1_weight,
        l2_weight=l2_weight,
    )
    shown = unscale or _unchanged
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
        scores=functools.partial(scores, rate=rate, unscale=shown),
        samples=functools.partial(samples, rate=rate, unscale=shown),
        best="mean_absolute_error" if rate is None else "lsd",
        watch=None if adversary is None else adversary.watch,
    )


def spectral_likeness(
    model: Upsampler,
    signal: Float[Array, "batch length channels"],
    keys: Key[Array, " batch"],
    step: Int[Array, ""],
    *,
    n_ffts: tuple[int, ...],
    stft_weight: float,
    log_spectral_weight: float,
    l1_weight: float,
    l2_weight: float = 0.0,
) -> tuple[Scalar, dict[str, Scalar], Float[Array, "batch length channels"]]:
    """Lower the rate of signals, raise it again, and compare.

    Args:
        model: The upsampler.
        signal: At the high rate.
        keys: Nothing here is drawn.
        step: Nothing here changes with it.
        n_ffts: Window lengths of the spectra.
        stft_weight: Weight of their multi-resolution distance.
        log_spectral_weight: Weight of their log-spectral distance.
        l1_weight: Weight of the mean absolute difference.
        l2_weight: Weight of the mean squared difference.

    Returns:
        The weighted sum, its parts (`stft`, `log_spectral`, `l1`, and `l2` if it has a weight) and
        the signal that was made.
    """
    del keys, step
    made = upsampled(model, signal)
    zero = jnp.zeros((), made.dtype)
    spectral = losses.multi_resolution_stft(made, signal, n_ffts=n_ffts) if stft_weight else zero
    decades = log_spectral_distance(made, signal, n_ffts=n_ffts) if log_spectral_weight else zero
    difference = losses.l1(made, signal)
    loss = stft_weight * spectral + log_spectral_weight * decades + l1_weight * difference
    parts = {"stft": spectral, "log_spectral": decades, "l1": difference}
    if l2_weight:
        parts["l2"] = losses.l2(made, signal)
        loss = loss + l2_weight * parts["l2"]
    return loss, parts, made


def upsampled(
    model: Upsampler, signal: Float[Array, "batch length channels"]
) -> Float[Array, "batch length channels"]:
    """What is made of signals after their rate was lowered, as long as they are."""
    return model(model.low(signal))[:, : signal.shape[1]]


def log_spectral_distance(
    signal: Float[Array, "batch length channels"],
    reference: Float[Array, "batch length channels"],
    *,
    n_ffts: Sequence[int] = (256,),
    floor: float = 1e-8,
) -> Scalar:
    r"""Root mean square over frequency of Δ log10 power, averaged over frames and resolutions.

    $$ \Bigl\langle \sqrt{\bigl\langle (\log_{10} |X|^2 - \log_{10} |Y|^2)^2 \bigr\rangle_k}
       \Bigr\rangle_t $$

    Differentiable everywhere, equality included. Of `apps.metrics.audio.log_spectral_distance` it
    is the form that is trained by, within a thousandth.

    Args:
        signal: What was made.
        reference: What it should be.
        n_ffts: Window length of each resolution, in samples; the hop is a quarter of it.
        floor: Powers below it count as it, and pass no gradient.

    Raises:
        ValueError: If there is no resolution.

    Source: Gray and Markel, Distance measures for speech processing (1976), with log10 of the power
        in place of decibels.
    """
    if not n_ffts:
        raise ValueError("n_ffts is empty; give at least one window length")
    total = jnp.zeros((), signal.dtype)
    for n_fft in n_ffts:
        made, wanted = (_log_power(each, n_fft, floor) for each in (signal, reference))
        square = jnp.mean(jnp.square(made - wanted), axis=2)  # over frequency
        # 10⁻⁶ is a thousandth of a decade, squared: the root keeps a slope where nothing differs.
        total = total + jnp.mean(jnp.sqrt(square + jnp.asarray(1e-6, square.dtype)))
    return total / len(n_ffts)


def _log_power(signal: Array, n_fft: int, floor: float) -> Array:
    spectrum = stft(signal, n_fft)
    power = jnp.square(spectrum.real) + jnp.square(spectrum.imag)
    return jnp.log10(jnp.maximum(power, jnp.asarray(floor, power.dtype)))


def samples(
    model: Upsampler,
    batch: Any,
    names: Sequence[str] | None = None,
    *,
    rate: int | None,
    unscale: Unscale,
) -> list[Sample]:
    """Held-out signals: as they are given, as resampling has them, as they are made.

    Args:
        model: The upsampler.
        batch: Held-out signals at the high rate.
        names: What to call them; default by number.
        rate: Samples per second at the high rate; None for series.
        unscale: From the model's units to the data's.

    Returns:
        Three of each: low; base and made, beside the real one.
    """
    signals: Signals = np.asarray(signal_of(batch), np.float32)
    names = names or [str(index + 1) for index in range(len(signals))]
    found = jax.device_get(_pass(model, beside(model, signals)))
    slow = None if rate is None else rate // model.factor
    shown: list[Sample] = []
    for name, real, *each in zip(names, signals, *found, strict=True):
        low, base, made = (unscale(part) for part in each)
        shown += [
            Sample(f"low {name}", low, slow),
            Sample(f"base {name}", base, rate, unscale(real)),
            Sample(f"made {name}", made, rate, unscale(real)),
        ]
    return shown


def scores(
    model: Upsampler,
    batches: Iterable[Any],
    *,
    rate: int | None,
    unscale: Unscale,
    look: Look | None = None,
) -> dict[str, NDArray[np.float64]]:
    """How near each signal is to what is made of it after its rate was lowered.

    Args:
        model: The upsampler.
        batches: Signals, in batches; the last may be smaller.
        rate: Samples per second at the high rate; None for series.
        unscale: From the model's units to the data's.
        look: Sees each batch of what is made beside the records.

    Returns:
        One number per signal for each metric. Of sound: lsd (decades), snr (dB), kept_lsd, that of
        what the low rate holds, and kept_snr_change (dB), by how much the signal-to-noise ratio
        there exceeds that of resampling. Of series: mean_absolute_error and root_mean_square_error
        in the data's units; the same of interpolation (mae_linear, rmse_linear, …_cubic,
        …_fourier, see `apps.metrics.interpolation`); and, one number for all of them, the error
        as a multiple of each of these (rmse_over_linear, …), below 1 where the model is better.

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
        low, base, made = (unscale(each[: len(wanted)]) for each in found)
        real = unscale(wanted)
        if look is not None:
            look(made, real)
        if rate is None:
            rows.append(_measure_series(made, low, real, factor=model.factor, offset=model.offset))
        else:
            rows.append(_measure(made, base, real, factor=model.factor))
    if not rows:
        raise ValueError("batches is empty; there is nothing to measure")
    joined = {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
    squares = {name: joined.pop(name) for name in list(joined) if joined[name].ndim > 1}
    for method in interpolation.METHODS if squares else ():
        over = interpolation.ratio(squares["made"], squares[method])
        joined[f"rmse_over_{method}"] = np.asarray([over])
    return joined


def _measure_series(
    made: Signals, low: Signals, wanted: Signals, *, factor: int, offset: float
) -> dict[str, NDArray[np.float64]]:
    """Errors of each series, and mean squares of each of its variables by what made it."""
    found = {
        "mean_absolute_error": series.mean_absolute_error(made, wanted),
        "root_mean_square_error": series.root_mean_square_error(made, wanted),
        "made": interpolation.squares(made, wanted),
    }
    others = interpolation.errors(low, wanted, factor=factor, offset=offset)
    for method, (absolute, root, squares) in others.items():
        found |= {f"mae_{method}": absolute, f"rmse_{method}": root, method: squares}
    return found


def _measure(
    made: Signals, base: Signals, wanted: Signals, *, factor: int
) -> dict[str, NDArray[np.float64]]:
    # Clips of any length can be trained.
    share, n_fft = 1 / factor, audio.fitting(_LONGEST, made.shape[1])
    kept = audio.snr(made, wanted, share=share)
    return {
        "lsd": audio.log_spectral_distance(made, wanted, n_fft=n_fft),
        "snr": audio.snr(made, wanted),
        "kept_lsd": audio.log_spectral_distance(made, wanted, n_fft=n_fft, share=share),
        "kept_snr_change": kept - audio.snr(base, wanted, share=share),
    }


def _unchanged(signal: Signals) -> Signals:
    return signal


@eqx.filter_jit
def _pass(
    model: Upsampler, signal: Float[Array, "batch length channels"]
) -> tuple[Array, Array, Array]:
    """Signals at the low rate, what is made of them without learning, and what the model makes."""
    low, length = model.low(signal), signal.shape[1]
    return low, model.plain(low)[:, :length], model(low)[:, :length]
