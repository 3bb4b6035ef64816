import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cases import drawn
from safetensors.numpy import load_file, save_file

import convt1d
from convt1d import Conv1d, ConvTranspose1d, Snake, SnakeBeta, WeightNorm
from convt1d.models import VAE, Banded, BandedEncoder, Decoder, Encoder, Heads, Layout

KEY = jax.random.key(3)
DENSE = Layout(strides=(2, 2), channels=(5, 4), dilations=(), activation="relu")
PLAIN = Layout(strides=(3, 2), channels=(6, 4, 3))
BRANCHES = Layout(
    strides=(3,), channels=(4, 3), residual_kernels=(3, 5), dilations=((1, 2), (3,)),
    residual="twice", units=(1,), compress=2, shortcut=True, activation="leaky_relu", slope=0.1,
    closing_slope=0.01, padding="causal", padding_mode="reflect", lstm=1, bias=False,
    closing_bias=True, rematerialise=True,
)  # fmt: skip

MODELS = {
    "layer": lambda: ConvTranspose1d((6, 4), 3, 4, 2, b_init=1.0, key=KEY),
    "cropped, grouped": lambda: ConvTranspose1d(
        (4, 6),
        6,
        5,
        3,
        groups=2,
        crop=(3, 1),
        output_padding=1,
        channel_first=True,
        name="up",
        padding_mode="circular",
        precision="high",
        dtype="bfloat16",
    ),
    "masked, frozen": lambda: ConvTranspose1d(
        (6, 4), 3, 4, w_mask=np.arange(4) > 1, param_type=convt1d.Frozen
    ),
    "convolution": lambda: Conv1d(
        4,
        6,
        5,
        stride=2,
        padding=(3, 1),
        padding_mode="reflect",
        b_init=None,
        param_dtype="bfloat16",
        key=KEY,
    ),
    "snake": lambda: Snake(5),
    "snake_beta": lambda: SnakeBeta(5, exact=True),
    "normed": lambda: WeightNorm(Conv1d(4, 6, 5, dilation=2, key=KEY)),
    "decoder": lambda: Decoder(1, 3, PLAIN, key=KEY),
    "branches": lambda: Decoder(1, 3, BRANCHES, output="modulated", key=KEY),
    "bands": lambda: Banded(Decoder(8, 3, PLAIN, key=KEY), convt1d.PQMF(4, channels=2)),
    "heads": lambda: Heads(
        Decoder(3, 3, PLAIN, output="features", key=KEY),
        2,
        noise_strides=(3, 2),
        noise_bands=3,
        key=KEY,
    ),
    "encoder of bands": lambda: BandedEncoder(Encoder(4, 6, PLAIN, key=KEY), convt1d.PQMF(4)),
    "dense": lambda: VAE(
        Encoder(2, 6, DENSE, length=10, key=KEY),
        Decoder(2, 3, DENSE, length=10, output="none", key=KEY),
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
def test_what_was_saved_is_what_is_loaded(make, tmp_path):
    model = drawn(make)
    convt1d.save(tmp_path, model, extra={"rate": 8000})
    again = convt1d.load(tmp_path)
    assert eqx.tree_equal(again, model)
    assert convt1d.load_description(tmp_path)["extra"] == {"rate": 8000}


def test_the_files_are_plain_json_and_named_arrays(tmp_path):
    convt1d.save(tmp_path, drawn(MODELS["decoder"]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["model"]["class"] == "Decoder"
    assert description["model"]["arguments"]["layout"]["arguments"]["strides"] == [3, 2]
    assert "stages.0.up.layer.weight" in load_file(tmp_path / "model.safetensors")


def test_saving_over_a_model_replaces_it(tmp_path):
    convt1d.save(tmp_path, drawn(MODELS["decoder"]))
    convt1d.save(tmp_path, MODELS["snake"]())
    assert eqx.tree_equal(convt1d.load(tmp_path), Snake(5))


def test_a_module_of_ones_own_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a Linear cannot be saved: it must be one of VAE, Deco"):
        convt1d.save(tmp_path, eqx.nn.Linear(2, 3, key=KEY))
    assert not list(tmp_path.iterdir())


def test_an_unknown_wrapper_of_a_weight_is_refused(tmp_path):
    class Wrapper(eqx.Module):
        value: jax.Array

    layer = ConvTranspose1d((6, 4), 3, 4, param_type=Wrapper)
    with pytest.raises(ValueError, match="a weight of type Wrapper cannot be saved"):
        convt1d.save(tmp_path, layer)


def test_a_folder_without_a_model_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"model\.json is not there: `folder` must be one"):
        convt1d.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("weight"), "weight is missing"),
        (lambda a: a.update(other=np.ones(2)), "other is unknown"),
        (lambda a: a.update(bias=np.ones(2)), r"bias has shape \(2,\) instead of \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_all_named(change, message, tmp_path):
    convt1d.save(tmp_path, drawn(MODELS["layer"]))
    arrays = load_file(tmp_path / "model.safetensors")
    change(arrays)
    save_file(arrays, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=rf"model\.safetensors does not fit .*{message}"):
        convt1d.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"model\.json is not JSON"),
        ("[]", r"model\.json has format None, but this version reads formats 1 and 2"),
        ('{"format": 3}', r"model\.json has format 3, but this version"),
        (
            '{"format": 2, "model": {"class": "os.system", "arguments": {}}}',
            r"model\.json .* it names the class 'os\.system', which is none of VAE, Decoder",
        ),
    ],
)
def test_a_strange_description_is_refused(text, message, tmp_path):
    convt1d.save(tmp_path, drawn(MODELS["layer"]))
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        convt1d.load(tmp_path)


def test_half_precision_weights_travel(tmp_path):
    layer = ConvTranspose1d((6, 4), 3, 4, w_init=jnp.ones((4, 3, 4), jnp.bfloat16))
    convt1d.save(tmp_path, layer)
    assert convt1d.load(tmp_path).weight.dtype == jnp.bfloat16
