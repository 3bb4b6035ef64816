"""Laws of the upsampler, against SciPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import firwin, resample_poly

import convt1d
from convt1d._polyphase import decimate, high_pass, low_pass
from convt1d.models import Layout, Upsampler

KEY = jax.random.key(3)
FACTORS = (2, 3, 4)


def make(factor: int = 4, **changes: object) -> Upsampler:
    strides = {2: (1, 2), 3: (3,), 4: (2, 2)}[factor]
    channels = (6,) * len(strides) + (4,)
    settings = {"dilations": (1, 3), "residual_kernels": (3,), **changes}
    return Upsampler(factor, Layout(strides=strides, channels=channels, **settings), key=KEY)  # pyright: ignore[reportArgumentType]


def noise(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(7), shape)


@pytest.mark.parametrize("factor", FACTORS)
def test_the_filter_is_scipys_default(factor: int) -> None:
    wanted = firwin(20 * factor + 1, 1 / factor, window=("kaiser", 5.0))  # pyright: ignore[reportArgumentType]
    np.testing.assert_allclose(low_pass(factor), wanted, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("length", [1, 7, 64])
def test_the_base_is_resample_poly_to_its_ends(factor: int, length: int) -> None:
    x = noise(2, length, 1)
    wanted = resample_poly(np.asarray(x, np.float64), factor, 1, axis=1)
    np.testing.assert_allclose(make(factor).base(x), wanted, atol=3e-6)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("length", [1, 6, 7, 64])
def test_decimation_is_resample_poly_to_its_ends(factor: int, length: int) -> None:
    x = noise(2, length, 3)
    wanted = resample_poly(np.asarray(x, np.float64), 1, factor, axis=1)
    np.testing.assert_allclose(decimate(x, factor), wanted, atol=3e-6)
    np.testing.assert_allclose(make(factor).low(x), wanted, atol=3e-6)


@pytest.mark.parametrize("factor", FACTORS)
def test_the_detail_leaves_the_kept_band_as_it_is(factor: int) -> None:
    made = make(factor)
    low = noise(1, 256, 1)
    change = np.asarray(made(low) - made.base(low), np.float64)[0, :, 0]
    window = np.hanning(len(change))  # its ends are no part of the question
    power = np.abs(np.fft.rfft(change * window)) ** 2
    kept = power[: int(0.95 * len(change) / 2 / factor)]
    assert kept.sum() < 1e-4 * power.sum()


@pytest.mark.parametrize("factor", FACTORS)
def test_the_sieve_is_half_of_the_signal_at_the_edge_and_nothing_below(factor: int) -> None:
    response = np.abs(np.fft.rfft(high_pass(factor), 1 << 12))
    edge = len(response) // factor
    assert response[: int(0.94 * edge)].max() < 3e-3
    assert response[edge] == pytest.approx(0.5, abs=0.01)
    assert np.abs(response[int(1.06 * edge) :] - 1).max() < 3e-3


@pytest.mark.slow
def test_channels_do_not_meet() -> None:
    made, low = make(), noise(2, 40, 3)
    apart = [made(low[..., i : i + 1]) for i in range(3)]
    np.testing.assert_allclose(made(low), jnp.concatenate(apart, axis=2), atol=1e-6)


@pytest.mark.slow
def test_without_biases_it_is_as_loud_as_its_input() -> None:
    made, low = make(activation="leaky_relu", bias=False), noise(1, 40, 1)
    np.testing.assert_allclose(made(0.01 * low), 0.01 * made(low), atol=1e-6)


def test_only_the_detail_is_trained() -> None:
    made = make()
    trained = convt1d.trainable(made)
    assert not any(jax.tree.leaves((trained.base, trained.sieve)))
    assert all(jax.tree.leaves(trained.detail))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_the_base_is_exact_whatever_the_detail_is_computed_in(dtype: str) -> None:
    made, low = make(), noise(1, 40, 1)
    cast = eqx.tree_at(
        lambda m: m.detail,
        made,
        jax.tree.map(lambda leaf: leaf.astype(dtype), made.detail),
    )
    assert cast(low).dtype == low.dtype
    np.testing.assert_allclose(cast(low) - cast.base(low), made(low) - made.base(low), atol=0.05)
    assert made(low.astype(dtype)).dtype == jnp.dtype(dtype)


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(13, 13, 14)])
def test_its_stream_is_the_whole(sizes: tuple[int, ...]) -> None:
    made, low = make(), noise(2, 40, 1)
    stream = convt1d.stream(made)
    assert stream.ratio == 4
    state, pieces, at = stream.init(batch=2), [], 0
    for size in sizes:
        state, piece = stream.step(state, low[:, at : at + size])
        pieces.append(piece)
        at += size
    whole = jnp.concatenate([*pieces, stream.flush(state)], axis=1)[:, stream.latency :]
    np.testing.assert_allclose(whole, made(low), atol=3e-6)


def test_it_comes_back_from_disk(tmp_path: object) -> None:
    made, low = make(), noise(1, 20, 2)
    convt1d.save(tmp_path, made)  # pyright: ignore[reportArgumentType]
    np.testing.assert_array_equal(convt1d.load(tmp_path)(low), made(low))  # pyright: ignore[reportArgumentType]


def test_its_summary_has_every_layer_and_counts_what_is_trained() -> None:
    made = make()
    rows = convt1d.summary(made, 400)
    assert rows[0].name == "base"
    assert rows[-1].length == 400
    learned = eqx.filter(made, convt1d.trainable(made))
    assert sum(row.parameters for row in rows) == sum(
        leaf.size for leaf in jax.tree.leaves(learned)
    )


@pytest.mark.parametrize(
    ("factor", "message"),
    [(1, "`factor` .* at least 2"), (0, "`factor`"), (8, "`layout` .* product is 4.* 8")],
)
def test_a_factor_that_does_not_fit_is_refused(factor: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Upsampler(factor, Layout(strides=(2, 2), channels=(4, 4)), key=KEY)
