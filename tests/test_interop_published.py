"""Published models against ours with their weights: stored outputs, and PyTorch where it is."""

import functools
import json
import warnings
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from reference.published_cases import CASES, KEY, OUTSIDE, Case, numbers, state_of

from convt1d import interop
from convt1d.models import VAE, Decoder, Encoder, Layout, published

VECTORS = np.load(Path(__file__).parent / "reference" / "published_models.npz")
SHAPES = json.loads(VECTORS["shapes"].tobytes())
BOUNDS = {"float64": 1e-9, "float32": 1e-5}


def ours(case, state, dtype):
    """Our model with the weights of another, which is all of them."""
    blank = eqx.filter_eval_shape(case.make)
    names = interop.published_names(blank, case.source)
    state = {name: array.astype(dtype) for name, array in state.items() if name not in OUTSIDE}
    if "pqmf.hk" in state:
        state["pqmf.hk"] = state["pqmf.hk"].astype("float32")
    return interop.read_model(blank, state, library="torch", names=names)


def error(case, state, x, expected, dtype):
    """The largest difference from ``expected``, a part of the largest value."""
    with jax.enable_x64(dtype == "float64"):
        model = ours(case, state, dtype)
        y = np.asarray(eqx.filter_jit(case.run)(model, jnp.asarray(x, dtype)))
    assert y.dtype == dtype
    assert y.shape == expected.shape
    return np.abs(y - expected).max() / np.abs(expected).max()


@pytest.mark.parametrize("name", CASES)
def test_a_model_with_published_weights_makes_what_the_published_one_makes(name):
    case, state = CASES[name], state_of(SHAPES[name])
    found = error(case, state, numbers("input", case.shape), VECTORS[name], "float64")
    assert found <= BOUNDS["float64"]


@functools.cache
def torch_models():
    """The module that builds them, or a skip."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("transformers", reason="transformers is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other libraries are not ours
        from reference import published_torch
    return published_torch


def made_by_torch(name, model, shape, dtype, *, seed=0):
    """The weights of a PyTorch model, all drawn, an input, and what the model makes of it."""
    import torch  # pyright: ignore[reportMissingImports]

    model, generator = model.double().eval(), torch.Generator().manual_seed(seed)
    state, cast = model.state_dict(), getattr(torch, dtype)
    with torch.no_grad():
        for key, array in state.items():
            if array.is_floating_point():
                drawn = torch.from_numpy(numbers(key, tuple(array.shape)))
                change = torch.randn(array.shape, generator=generator, dtype=torch.float64)
                kept = torch.float32 if key == "pqmf.hk" else cast  # the filters everywhere
                array.copy_((drawn * (1 + 0.1 * change)).to(kept))
        x = torch.randn(shape, generator=generator, dtype=cast)
        y = torch_models().run(name, model, x.double())  # in double precision for both
    return {key: array.numpy() for key, array in state.items()}, x.numpy(), y.numpy()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", CASES)
def test_drawn_weights_of_pytorch_models_travel(name, dtype):
    case = CASES[name]
    state, x, y = made_by_torch(name, torch_models().MODELS[name](), case.shape, dtype)
    assert error(case, state, x, y, dtype) <= BOUNDS[dtype]


# Whole models: theirs, which part of it, and ours. The prefix is that of the part.
DAC = {44100: [2, 4, 8, 8], 24000: [2, 4, 5, 8], 16000: [2, 4, 5, 8]}
WHOLE = {
    **{
        f"dac {rate} decoder": (
            lambda t, rates=rates: t.transformers_dac(rates, whole=True),
            "decoder",
            Case("transformers_dac", lambda r=rate: published.dac(r, key=KEY), (1, 4, 1024)),
        )
        for rate, rates in DAC.items()
    },
    "dac 44100 encoder": (
        lambda t: t.transformers_dac(DAC[44100], whole=True),
        "encoder",
        Case("transformers_dac", lambda: published.dac_encoder(key=KEY), (1, 2048, 1)),
    ),
    "dac 24000 encoder": (
        lambda t: t.transformers_dac(DAC[24000], whole=True),
        "encoder",
        Case("transformers_dac", lambda: published.dac_encoder(24000, key=KEY), (1, 1280, 1)),
    ),
    **{
        f"encodec {'causal' if causal else 'not causal'} {part}": (
            lambda t, causal=causal: t.transformers_encodec(causal=causal, whole=True),
            part,
            Case("transformers_seanet", make, shape),
        )
        for causal in (True, False)
        for part, make, shape in (
            ("decoder", lambda c=causal: published.encodec(causal=c, key=KEY), (1, 10, 128)),
            (
                "encoder",
                lambda c=causal: published.encodec_encoder(causal=c, key=KEY),
                (1, 3200, 1),
            ),
        )
    },
    "speecht5": (
        lambda t: t.transformers_hifigan(whole=True),
        "",
        Case("transformers_hifigan", lambda: published.hifigan(1, key=KEY), (1, 8, 80)),
    ),
    "mimi decoder": (
        lambda t: t.transformers_mimi(whole=True),
        "decoder",
        Case("transformers_seanet", lambda: published.mimi(key=KEY), (1, 4, 512)),
    ),
    "mimi encoder": (
        lambda t: t.transformers_mimi(whole=True),
        "encoder",
        Case("transformers_seanet", lambda: published.mimi_encoder(key=KEY), (1, 3840, 1)),
    ),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_model_of_transformers_travels(name, dtype):
    theirs, part, case = WHOLE[name]
    model = theirs(torch_models())
    model = getattr(model, part) if part else model
    state, x, y = made_by_torch("speecht5" if name == "speecht5" else "", model, case.shape, dtype)
    found = error(case, state, x, y, dtype)
    print(f"{name}, {dtype}: {found:.1e}")
    assert found <= BOUNDS[dtype]


TINY = Layout(strides=(2,), channels=(4, 2), dilations=(1,))


def test_a_whole_autoencoder_has_the_names_of_both_its_halves():
    vae = VAE(Encoder(1, 6, TINY, key=KEY), Decoder(1, 3, TINY, key=KEY))
    names = interop.published_names(vae, "dac", prefix="generator.")
    assert names["encoder.stages.0.down"] == "generator.encoder.block.1.block.2"
    assert (
        names["decoder.stages.0.branches.0.0.mixing"] == "generator.decoder.model.1.block.2.block.3"
    )
    assert len(set(names.values())) == len(names)


def test_a_rave_has_the_name_of_its_filters():
    blank = eqx.filter_eval_shape(lambda: published.rave(1, key=KEY))
    names = interop.published_names(blank, "rave_v1")
    assert names["pqmf.filters.array"] == "pqmf.hk"
    assert names["decoder.loudness"] == "decoder.synth.branches.1"


def test_names_are_refused_where_there_are_none():
    decoder = Decoder(1, 3, TINY, key=KEY)
    with pytest.raises(ValueError, match=r"`source` \(='vocos'\) must be one of 'dac', 'encodec'"):
        interop.published_names(decoder, "vocos")  # pyright: ignore[reportArgumentType]
    with pytest.raises(
        ValueError, match=r"`source` \(='hifigan'\) has nothing like `model`, a Enc"
    ):
        interop.published_names(Encoder(1, 3, TINY, key=KEY), "hifigan")
    with pytest.raises(
        ValueError, match=r"'hifigan'\) has no name for 'stages.0.activation.alpha'"
    ):
        interop.published_names(decoder, "hifigan")
