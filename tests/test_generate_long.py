"""Signals too long to be held are made block by block: as at once, at constant memory."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
import soundfile
from trained_runs import plucks

from apps import build, generate
from apps.engine import compilation
from apps.modes import blocks, streamed
from apps.modes.reconstruct import reconstruct
from apps.objectives import autoencoding, gan
from apps.objectives.draws import normal_blocks
from convt1d.models import VAE, Conditional, ConditionalEncoder, Decoder, Encoder, Layout

RATE = 8000


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(compilation, "keep_compilations", lambda: None)
    monkeypatch.setattr(streamed, "LONG", 400)
    monkeypatch.setattr(streamed, "_STEPS", 10)
    monkeypatch.setattr(blocks.portions, "__defaults__", ((8, 3, 1),))


def make(output, **settings):
    words = [f"{key}={value}" for key, value in settings.items()]
    assert generate.main([f"run={plucks()}", f"output={output}", *words]) == 0


def sound(length, *, channels=1):
    time = np.arange(length) / RATE
    noise = 0.01 * np.random.default_rng(0).standard_normal((length, channels))
    return 0.3 * np.sin(2 * np.pi * 440 * time)[:, None] + noise


def test_a_long_recording_comes_back_as_it_would_at_once(tmp_path):
    soundfile.write(tmp_path / "in.wav", sound(1003, channels=2), 2 * RATE, subtype="FLOAT")
    make(tmp_path, mode="reconstruct", input=tmp_path / "in.wav")
    given = np.asarray(soundfile.read(tmp_path / "in-reference.wav", always_2d=True)[0], np.float32)
    made = soundfile.read(tmp_path / "in-reconstruction.wav", always_2d=True)[0]
    assert made.shape == given.shape == (502, 1)
    whole = reconstruct(build.trained(plucks()), given)
    np.testing.assert_allclose(made, whole, atol=2.0**-13)  # both were rounded to 16 bits


def test_a_long_new_sound_is_what_its_latent_decodes_to(tmp_path):
    make(tmp_path / "a", mode="sample", length=501, count=2, seed=3)
    made = [soundfile.read(tmp_path / "a" / f"sample-0{n}.wav")[0] for n in (1, 2)]
    assert not np.allclose(made[0], made[1], atol=1e-3)
    run = build.trained(plucks())
    drawn = normal_blocks(1, steps=32, latent=run.model.latent, seed=3, size=10)
    latent = np.concatenate(list(drawn))[None]
    whole = autoencoding.decode(run.model, latent, length=501)
    np.testing.assert_allclose(made[1], whole[0, :, 0], atol=2.0**-14)
    make(tmp_path / "b", mode="sample", length=450, count=1, seed=3)
    shorter = soundfile.read(tmp_path / "b" / "sample-01.wav")[0]
    np.testing.assert_array_equal(shorter[:300], made[0][:300])  # the end sees what is behind it


def test_a_label_is_heard_in_every_block():
    layout = Layout(strides=(2,), channels=(4, 3), dilations=(), weight_norm=False)
    keys = jax.random.split(jax.random.key(0))
    model = Conditional(Decoder(1, 6, layout, key=keys[0]), 3, key=keys[1])
    run = build.Trained(None, None, 0, model)  # pyright: ignore[reportArgumentType]
    made = np.concatenate(
        list(streamed.sampled(run, 4, length=45, seed=1, given=(np.array([2]), None)))
    )
    latent = np.concatenate(list(normal_blocks(4, steps=23, latent=3, seed=1, size=10)))
    whole = gan.decode(model, latent[None], length=46, given=(np.array([2]), None))
    np.testing.assert_allclose(made, whole[0], atol=1e-6)


def autoencoder(*, classes=0, covariates=0):
    layout = Layout(strides=(2,), channels=(4, 3), dilations=(), weight_norm=False)
    keys = jax.random.split(jax.random.key(0), 4)
    known = {"embedding": 2 if classes else 0, "covariates": covariates}
    more = known["embedding"] + covariates
    encoder = Encoder(1 + more, 6, layout, key=keys[0])
    decoder = Decoder(1, 3 + more + covariates, layout, key=keys[1])
    model = VAE(
        ConditionalEncoder(encoder, classes, **known, key=keys[2]),
        Conditional(decoder, classes, **known, key=keys[3]),
    )
    config = SimpleNamespace(model=SimpleNamespace(entry="conv"))
    return build.Trained(config, None, 0, model)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_covariates_are_heard_each_in_its_block():
    run = autoencoder(classes=3, covariates=1)
    course = np.random.default_rng(0).standard_normal((1, 45, 1)).astype(np.float32)
    given = (np.array([1]), course)
    made = np.concatenate(list(streamed.sampled(run, 4, length=45, seed=1, given=given)))
    latent = np.concatenate(list(normal_blocks(4, steps=23, latent=3, seed=1, size=10)))
    whole = autoencoding.decode(run.model, latent[None], length=46, given=given)
    np.testing.assert_allclose(made, whole[0], atol=1e-6)


@pytest.mark.slow
def test_a_long_recording_of_a_class_comes_back_as_it_would_at_once():
    run, given = autoencoder(classes=3), (np.array([2]), None)
    signal = np.random.default_rng(0).standard_normal((44, 1)).astype(np.float32)
    pieces = (signal[at : at + 7] for at in range(0, 44, 7))
    made = np.concatenate(list(streamed.reconstructed(pieces, run, given)))
    whole = autoencoding.reconstruct(run.model, streamed.batch(signal[None], given))
    np.testing.assert_allclose(made, whole[0], atol=1e-6)


def test_no_more_than_a_portion_is_held_at_once():
    seen = []

    def blocks_of(length, size):
        for at in range(0, length, size):
            yield np.full((min(size, length - at), 1), at)

    for portion in blocks.portions(blocks_of(1000, 7), hop=4):
        seen.append(len(portion))
    assert sum(seen) == 1000
    assert max(seen) == 32
