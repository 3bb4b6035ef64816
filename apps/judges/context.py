"""How far two sets of series are in the features of a network that learnt them unsupervised.

The network is TS2Vec's, trained on the real set: residual blocks of dilated convolutions, by a
contrast between two overlapping crops of a series, at every scale of time. The Fréchet distance of
the sets' features, the largest over time of each, is the context-FID.

Crops have lengths of their own in every update. So that one program serves all, they are laid into
arrays as long as a series, and what lies beyond a crop is masked wherever it would be seen.

Sources: Yue et al., TS2Vec (2022), sections 3.1 to 3.3, for the network and its loss; Jeha et al.,
PSA-GAN (2022), for the distance; Yuan and Qiao, Diffusion-TS (2024), for the sizes.
"""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Scalar
from numpy.typing import NDArray

from apps.judges.recurrent import Advance
from apps.metrics.series import Series, check_sets
from apps.metrics.sets import frechet_distance

BATCH = 8
HIDDEN, FEATURES, BLOCKS = 64, 320, 10
DROPOUT = 0.1
_PIECE = 50  # updates between two reports of progress
_AT_ONCE = 1024  # series encoded at once


def context_distances(
    signal: Series,
    reference: Series,
    *,
    seeds: int = 5,
    seed: int = 0,
    updates: int | None = None,
    advance: Advance | None = None,
) -> NDArray[np.float64]:
    """Fréchet distance of two sets in the features of networks that learnt the real one.

    Sets of the same distribution are not at 0 but nearer the larger they are: compare with real
    against real, in sets of one size.

    Args:
        signal: The set that was made.
        reference: Real series, scaled to [0, 1] or thereabouts.
        seeds: How many networks are trained.
        seed: Chooses them all.
        updates: Of each network; None takes TS2Vec's 200, or 600 of more than 100,000 numbers.
        advance: Told how many updates were made.

    Returns:
        One distance for each seed.

    Raises:
        ValueError: If the series differ in length or variables, are shorter than two steps, or a
            set has fewer than two.

    Example:
        >>> import numpy as np
        >>> real = np.random.default_rng(0).uniform(size=(60, 12, 2))
        >>> near, far = (context_distances(x, real, seeds=1, updates=5) for x in (real, real + 1))
        >>> bool(near < far)
        True
    """
    check_sets(signal, reference, least=2)
    if reference.shape[1] < 2:
        raise ValueError(
            f"the series have {reference.shape[1]} step; two crops of one need at least 2"
        )
    encoders = learn(reference, seeds=seeds, seed=seed, updates=updates, advance=advance)
    return distances(encoded(encoders, signal), encoded(encoders, reference))


def distances(
    first: Float[np.ndarray, "seeds series features"],
    second: Float[np.ndarray, "seeds other_series features"],
) -> NDArray[np.float64]:
    """The Fréchet distance of two sets' features, for each seed."""
    return np.asarray([frechet_distance(*pair) for pair in zip(first, second, strict=True)])


def learn(
    series: Series,
    *,
    seeds: int,
    seed: int = 0,
    updates: int | None = None,
    advance: Advance | None = None,
) -> "Encoder":
    """Train one encoder for each seed, and return the mean of each over its updates."""
    updates = updates or updates_for(series)
    rngs = [np.random.default_rng((seed, number)) for number in range(seeds)]
    plans = [[_plan(rng, *series.shape[:2]) for _ in range(updates)] for rng in rngs]
    keys = jax.random.split(jax.random.key(seed), seeds)
    first = jax.vmap(lambda key: Encoder(series.shape[2], key=key))(keys)
    state = (first, jax.vmap(_ADAMW.init)(first), first)
    everything = jnp.asarray(series, jnp.float32)
    for at in range(0, updates, _PIECE):
        pieces = [jax.tree.map(lambda *x: np.stack(x), *plan[at : at + _PIECE]) for plan in plans]
        piece = jax.tree.map(lambda *x: jnp.asarray(np.stack(x)), *pieces)
        drawn = jax.vmap(jax.random.fold_in, (0, None))(keys, at)
        state = jax.block_until_ready(_train(state, everything, piece, drawn, jnp.asarray(at)))
        if advance is not None:
            advance(piece.rows.shape[1])
    return state[2]


def updates_for(series: Series) -> int:
    """How many updates TS2Vec takes on such a set."""
    return 600 if np.size(series) > 100_000 else 200


class Plan(NamedTuple):
    """One update: which series, and of each two crops that overlap."""

    rows: Any  # [batch]
    shift: Any  # [batch]: by how much a series' crops lie farther on
    first: Any  # where the first crop begins and ends
    second: Any  # the other one, which ends later
    # In between lies the overlap: from where the second begins to where the first ends.


def _plan(rng: np.random.Generator, count: int, length: int) -> Plan:
    """Draw an update as TS2Vec does: the overlap, then how far either crop reaches beyond it."""
    overlap = int(rng.integers(2, length + 1))
    left = int(rng.integers(length - overlap + 1))
    right = left + overlap
    outer_left = int(rng.integers(left + 1))
    outer_right = int(rng.integers(right, length + 1))
    size = min(BATCH, count)
    return Plan(
        rows=rng.choice(count, size, replace=False, shuffle=False).astype(np.int32),
        shift=rng.integers(-outer_left, length - outer_right + 1, size).astype(np.int32),
        first=np.asarray([outer_left, right], np.int32),
        second=np.asarray([left, outer_right], np.int32),
    )


class Block(eqx.Module):
    """Two dilated convolutions of three taps, each after a GELU, beside a straight way."""

    convolutions: list["Taps"]
    straight: Float[Array, "inputs outputs"] | None

    def __init__(
        self, inputs: int, outputs: int, dilation: int, *, last: bool, key: Key[Array, ""]
    ) -> None:
        keys = jax.random.split(key, 3)
        self.convolutions = [
            Taps(inputs, outputs, dilation, key=keys[0]),
            Taps(outputs, outputs, dilation, key=keys[1]),
        ]
        self.straight = _uniform(keys[2], (inputs, outputs), inputs) if last else None

    def __call__(
        self, x: Float[Array, "batch length inputs"], seen: Bool[Array, "1 length 1"]
    ) -> Float[Array, "batch length outputs"]:
        """Of a crop of which only `seen` is there."""
        straight = x if self.straight is None else x @ self.straight
        for convolution in self.convolutions:
            x = convolution(jnp.where(seen, jax.nn.gelu(x, approximate=False), 0))
        return x + straight


class Taps(eqx.Module):
    """A dilated convolution of three taps as one product, which is fast where weights differ too.

    `convt1d.Conv1d` under `vmap` over its weights is a grouped convolution.
    """

    weight: Float[Array, "3 inputs outputs"]
    bias: Float[Array, " outputs"]
    dilation: int = eqx.field(static=True)

    def __init__(self, inputs: int, outputs: int, dilation: int, *, key: Key[Array, ""]) -> None:
        first, second = jax.random.split(key)
        self.weight = _uniform(first, (3, inputs, outputs), 3 * inputs)
        self.bias = _uniform(second, (outputs,), 3 * inputs)
        self.dilation = dilation

    def __call__(
        self, x: Float[Array, "batch length inputs"]
    ) -> Float[Array, "batch length outputs"]:
        """As long as `x`, which zeros surround."""
        reach = self.dilation
        if reach >= x.shape[1]:  # the outer taps see zeros alone
            return x @ self.weight[1] + self.bias[None, None]
        before = jnp.pad(x, ((0, 0), (reach, 0), (0, 0)))[:, : x.shape[1]]
        after = jnp.pad(x, ((0, 0), (0, reach), (0, 0)))[:, reach:]
        taps = jnp.concatenate([before, x, after], axis=2)
        return taps @ self.weight.reshape(-1, self.weight.shape[2]) + self.bias[None, None]


class Encoder(eqx.Module):
    """TS2Vec's: a projection, ten residual blocks whose dilation doubles, and one of features."""

    projection: Float[Array, "variables hidden"]
    projection_bias: Float[Array, " hidden"]
    blocks: list[Block]

    def __init__(self, variables: int, *, key: Key[Array, ""]) -> None:
        first, second, *rest = jax.random.split(key, BLOCKS + 3)
        self.projection = _uniform(first, (variables, HIDDEN), variables)
        self.projection_bias = _uniform(second, (HIDDEN,), variables)
        widths = [HIDDEN] * BLOCKS + [FEATURES]
        self.blocks = [
            Block(HIDDEN, width, 2**index, last=index == BLOCKS, key=rest[index])
            for index, width in enumerate(widths)
        ]

    def __call__(
        self,
        series: Float[Array, "batch length variables"],
        length: Int[Array, ""] | int,
        *,
        key: Key[Array, ""] | None = None,
    ) -> Float[Array, "batch length features"]:
        """Features of every step of the first `length`; with a key, some steps are hidden."""
        x = series @ self.projection + self.projection_bias[None, None]
        seen = (jnp.arange(x.shape[1]) < length)[None, :, None]
        if key is not None:
            there = jax.random.bernoulli(jax.random.fold_in(key, 0), 0.5, x.shape[:2])
            x = jnp.where(there[..., None], x, 0)
        for block in self.blocks:
            x = block(x, seen)
        if key is not None:
            kept = jax.random.bernoulli(jax.random.fold_in(key, 1), 1 - DROPOUT, x.shape)
            x = jnp.where(kept, x / (1 - DROPOUT), 0)
        return x


def _uniform(key: Key[Array, ""], shape: tuple[int, ...], inputs: int) -> Float[Array, "..."]:
    """As PyTorch's layers begin."""
    bound = 1 / math.sqrt(inputs)
    return jax.random.uniform(key, shape, jnp.float32, -bound, bound)


def hierarchical_contrast(
    first: Float[Array, "batch length features"],
    second: Float[Array, "batch length features"],
    count: Int[Array, ""] | int,
) -> Scalar:
    """TS2Vec's loss: the instance and the temporal contrast, at every scale of time.

    From scale to scale time is halved, the larger of two neighbours taken, until one step is left.

    Args:
        first: Features of one view of the series.
        second: Features of the other view, at the same times.
        count: How many of the steps there are; those behind are no part of it.

    Source: Yue et al., TS2Vec (2022), section 3.3, equations 1 to 3 and algorithm 1.
    """
    total, scales = jnp.zeros(()), jnp.zeros(())
    count = jnp.asarray(count)
    while True:
        there = count >= 1
        some = jnp.maximum(count, 1)  # where nothing is left, the value is not used
        value = 0.5 * _instance(first, second, some)
        value += jnp.where(count > 1, 0.5 * _temporal(first, second, some), 0)
        total = total + jnp.where(there, value, 0)
        scales = scales + there.astype(scales.dtype)
        if first.shape[1] == 1:
            return total / scales
        first, second = _halved(first), _halved(second)
        count = count // 2


def _halved(x: Float[Array, "batch length features"]) -> Float[Array, "batch half features"]:
    whole = x[:, : x.shape[1] // 2 * 2]
    return whole.reshape(len(x), -1, 2, x.shape[2]).max(axis=2)


def _instance(first: Array, second: Array, count: Int[Array, ""]) -> Scalar:
    """Contrast with the other series at the same time: equation 2."""
    batch, length = first.shape[:2]
    if batch == 1:
        return jnp.zeros(())
    views = jnp.concatenate([first, second]).swapaxes(0, 1)  # [length, 2 batch, features]
    each = _against_the_rest(views, jnp.ones(2 * batch, bool), apart=batch)
    there = (jnp.arange(length) < count)[:, None]
    return jnp.where(there, each, 0).sum() / (2.0 * batch * count.astype(each.dtype))


def _temporal(first: Array, second: Array, count: Int[Array, ""]) -> Scalar:
    """Contrast with the other times of the same series: equation 1."""
    batch, length = first.shape[:2]
    there = jnp.tile(jnp.arange(length) < count, 2)
    each = _against_the_rest(jnp.concatenate([first, second], axis=1), there, apart=length)
    return jnp.where(there[None], each, 0).sum() / (2.0 * batch * count.astype(each.dtype))


def _against_the_rest(
    views: Float[Array, "groups both features"], there: Bool[Array, " both"], *, apart: int
) -> Float[Array, "groups both"]:
    """Minus the log of the share that a vector's other view has among all but itself."""
    likeness = jnp.einsum("gif,gjf->gij", views, views)
    others = there[None] & ~jnp.eye(likeness.shape[1], dtype=bool)
    likeness = jnp.where(others[None], likeness, -jnp.inf)
    partner = jnp.roll(jnp.arange(likeness.shape[1]), apart)
    own = jnp.take_along_axis(likeness, partner[None, :, None], axis=2)[..., 0]
    # A vector that is not there has no partner: its share is left out by who calls.
    own = jnp.where(there[None], own, 0)
    return jax.nn.logsumexp(likeness, axis=2) - own


_ADAMW: Any = optax.adamw(1e-3, weight_decay=0.01)  # PyTorch's defaults
_State = tuple[Encoder, optax.OptState, Encoder]  # as it is, its optimiser, its mean


@eqx.filter_jit
def _train(
    state: _State,
    series: Float[Array, "series length variables"],
    plans: Plan,
    keys: Key[Array, " seeds"],
    done: Int[Array, ""],
) -> _State:
    def one(state: _State, plans: Plan, key: Key[Array, ""]) -> _State:
        def update(now: _State, given: tuple[Plan, Array]) -> tuple[_State, None]:
            plan, number = given
            encoder, moments, mean = now
            slope = jax.grad(_loss)(encoder, series, plan, jax.random.fold_in(key, number))
            with jax.numpy_dtype_promotion("standard"):  # optax raises a float to an integer power
                change, moments = _ADAMW.update(slope, moments, encoder)
            encoder = eqx.apply_updates(encoder, change)
            # The first weights count as one of those that are averaged.
            weight = 1 / (done + number + 2).astype(jnp.float32)
            mean = jax.tree.map(lambda old, new: old + weight * (new - old), mean, encoder)
            return (encoder, moments, mean), None

        numbers = jnp.arange(plans.rows.shape[0])
        return jax.lax.scan(update, state, (plans, numbers))[0]

    return jax.vmap(one)(state, plans, keys)


def _loss(encoder: Encoder, series: Array, plan: Plan, key: Key[Array, ""]) -> Scalar:
    length = series.shape[1]
    rows = series[plan.rows]
    first_key, second_key = jax.random.split(key)
    steps = jnp.arange(length)

    def crop(ends: Int[Array, "2"]) -> Float[Array, "batch length variables"]:
        places = plan.shift[:, None] + ends[0] + steps[None]
        return jnp.take_along_axis(rows, jnp.clip(places, 0, length - 1)[..., None], axis=1)

    first = encoder(crop(plan.first), plan.first[1] - plan.first[0], key=first_key)
    second = encoder(crop(plan.second), plan.second[1] - plan.second[0], key=second_key)
    # The overlap, brought to the beginning of both.
    first = jnp.roll(first, plan.first[0] - plan.second[0], axis=1)
    return hierarchical_contrast(first, second, plan.first[1] - plan.second[0])


def encoded(encoders: "Encoder", series: Series) -> Float[np.ndarray, "seeds series features"]:
    """The largest of each feature over time, of encoders from `learn`."""
    parts = [
        np.asarray(_pooled(encoders, jnp.asarray(series[at : at + _AT_ONCE], jnp.float32)))
        for at in range(0, len(series), _AT_ONCE)
    ]
    return np.concatenate(parts, axis=1).astype(np.float64)


@eqx.filter_jit
def _pooled(
    encoders: Encoder, series: Float[Array, "series length variables"]
) -> Float[Array, "seeds series features"]:
    return jax.lax.map(lambda encoder: encoder(series, series.shape[1]).max(axis=1), encoders)
