"""Small trained runs for the doors that use one; each is trained once per test process."""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

from apps import train

COMMON = (
    *("train.steps=4", "train.batch_size=4", "train.log_every=2", "train.save_every=2"),
    *("train.sample_every=0", "train.evaluate_every=2", "train.evaluate_records=4"),
    *("train.samples=1", "train.ema_decay=0.9", "data.count=16"),
    # the smallest models: what is tested is the doors, and compiling takes the time
    *("model.channels=[4,4]", "model.latent=4", "model.dilations=[]", "model.weight_norm=false"),
    *("model.activation=relu", "model.kernel_size=3"),
)


@functools.cache
def plucks() -> Path:
    """A run on audio: 512 samples at 8 kHz, hop 16."""
    return _train(
        *("data=plucks", "data.length=512", "model.strides=[4,4]"),
        *("objective.n_ffts=[32]", "objective.bands=[5]"),
    )


@functools.cache
def sines() -> Path:
    """A run on series of one length: 24 steps of 3 variables, a dense latent."""
    return _train(
        *("data=sines", "data.channels=3", "model.strides=[2,2]", "model.entry=dense"),
        *("objective.reconstruction=l2", "train.evaluate_every=0"),
    )


@functools.cache
def vocoder() -> Path:
    """A run on audio: 512 samples at 8 kHz from 4 mel bands, hop 16."""
    return _train(
        *("data=plucks", "data.length=512", "model=hifigan", "model.strides=[4,4]"),
        *("model.residual_kernels=[3]", "objective=vocoder", "objective.n_fft=64"),
        *("objective.mel_bands=4",),
    )


@functools.cache
def tones() -> Path:
    """A conditional generator of 3 tones of 64 samples."""
    return _train(
        *("data=tones", "data.modes=3", "data.length=64", "data.labels=frequency"),
        *("objective=gan", "critic=wavegan", "critic.channels=2", "model.strides=[4,4]"),
        *("model.entry=dense",),
    )


def sounds(run: Path, *words: str) -> Path:
    """A run on recordings, of the caller's own."""
    words = (*words, *(each for each in COMMON if not each.startswith("data.")), f"run={run}")
    small = ("model.strides=[4,4]", "objective.n_ffts=[32]", "objective.bands=[5]")
    assert train.main([*words, *small]) == 0
    return run


def _train(*words: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="convt1d-run-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    run = folder / "run"
    assert train.main([*words, *COMMON, f"run={run}"]) == 0
    return run
