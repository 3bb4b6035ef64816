"""What a config may say: every setting described, every wrong one refused by name."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from apps import config
from apps.config import Config
from apps.schema import ConfigError, descriptions, from_dict, nearest, resolved, settings, to_dict

L2 = {"objective": {"reconstruction": "l2"}}
WAVE = {"wave": True}
SINES = {"data": {"kind": "sines"}, "objective": {"reconstruction": "l2"}}


SCHEMAS = (
    config.Tones,
    *(config.Plucks, config.Sines, config.AudioFolder, config.Arrays, config.Model, config.Train),
    *(config.Vae, config.VaeGan, config.Gan, config.Vocoder, config.Upsampler, config.Critic),
)


def test_every_setting_says_what_it_is():
    assert [each.key for each in settings(Config) if not each.text] == []


def test_no_setting_is_described_that_is_not_there():
    for hint in SCHEMAS:
        assert set(descriptions(hint)) == {field.name for field in dataclasses.fields(hint)}


def test_a_config_equals_what_its_plain_values_make():
    values = {"model": {"strides": [2, 2], "channels": [8, 4]}, "train": {"devices": "all"}}
    made = from_dict(Config, values)
    assert made.model.strides == (2, 2)
    assert from_dict(Config, yaml.safe_load(yaml.safe_dump(to_dict(made)))) == made


def test_a_whole_number_may_be_written_as_1e4():
    steps = from_dict(Config, {"train": {"steps": 1e4}}).train.steps
    assert steps == 10_000
    assert isinstance(steps, int)


def test_a_config_without_a_kind_is_of_the_first_one():
    """As those of runs that were begun when there was one only."""
    assert from_dict(Config, {"objective": {"l1_weight": 2}}).objective.kind == "vae"


def test_a_critic_may_be_there_or_not():
    with_one = {"objective": {"kind": "vae_gan"}, "critic": {"periods": [2, 3]}}
    assert from_dict(Config, with_one).critic == config.Critic(periods=(2, 3))
    assert from_dict(Config, {"critic": None}).critic is None


WRONG = {
    "key": ({"train": {"stepz": 3}}, "train.stepz is not a setting; did you mean 'train.steps'?"),
    "key_elsewhere": ({"steps": 3}, "steps is not a setting; did you mean 'train.steps'?"),
    "key_of_another_choice": (
        {**SINES, "data": {"kind": "sines", "rate": 8}},
        "data.rate is a setting of another choice of data= than the one made here",
    ),
    "target": ({"_target_": "os.system"}, "_target_ is not a setting"),
    "word_for_a_number": (
        {"train": {"steps": "many"}},
        "train.steps must be a whole number, got 'many'",
    ),
    "fraction": ({"train": {"steps": 1.5}}, "train.steps must be a whole number, got 1.5"),
    "true_for_a_number": ({"train": {"steps": True}}, "must be a whole number, got True"),
    "infinity": ({"optimiser": {"learning_rate": float("inf")}}, "must be a number, got inf"),
    "number_for_a_list": ({"model": {"strides": 3}}, "must be a list of whole numbers, got 3"),
    "choice": (
        {"optimiser": {"schedule": "cosin"}},
        "must be constant, cosine or exponential, got 'cosin'; did you mean 'cosine'?",
    ),
    "kind": (
        {"data": {"kind": "pluck"}},
        "data.kind must be one of plucks, sines, tones, audio_folder, arrays, got 'pluck'; "
        "did you mean 'plucks'?",
    ),
    "missing": ({"data": {"kind": "audio_folder"}}, "data.root must be set: the folder"),
    "value_for_a_group": ({"model": 3}, "model holds settings of its own, got 3"),
    "devices": ({"train": {"devices": "al"}}, "must be one, all or a whole number, got 'al'"),
    "no_devices": ({"train": {"devices": 0}}, "train.devices must be at least 1, got 0"),
    "negative": ({"train": {"steps": 0}}, "train.steps must be at least 1, got 0"),
    "seed": ({"train": {"seed": 2**31}}, "train.seed must be below 2³¹, got 2147483648"),
    "ema": ({"train": {"ema_decay": 1}}, "train.ema_decay must be below 1, got 1.0"),
    "stride": ({"model": {"strides": [2, 0]}}, "model.strides must be at least 1, got 0"),
    "rate": ({"optimiser": {"learning_rate": 0}}, "optimiser.learning_rate must be above 0"),
    "momentum": ({"optimiser": {"beta1": 1.5}}, "optimiser.beta1 must be below 1, got 1.5"),
    "exponential_to_zero": (
        {"optimiser": {"schedule": "exponential", "final": 0}},
        "optimiser.final must be above 0 where optimiser.schedule is exponential",
    ),
    "pattern": (
        {"data": {"kind": "audio_folder", "root": "x", "test_pattern": "("}},
        "data.test_pattern is not a regular expression, '('",
    ),
    "bands": (
        {"objective": {"bands": [3]}},
        "objective.bands needs one number for each of objective.n_ffts [64, 128, 256, 512]",
    ),
    "mel_of_a_series": (
        {"data": {"kind": "sines"}},
        "objective.reconstruction=log_mel is for audio, and data=sines is none; take objective=",
    ),
    "bounds": (
        {"data": {"kind": "arrays", "path": "x", "scaling": "standard"}, **L2},
        "model.output=tanh has bounds, and data.scaling=standard has none; take model.output=none",
    ),
    "bounds_of_robust": (
        {"data": {"kind": "arrays", "path": "x", "scaling": "robust"}, **L2},
        "model.output=tanh has bounds, and data.scaling=robust has none; take model.output=none",
    ),
    "no_strides": ({"model": {"strides": []}}, "model.strides needs at least one number, got []"),
    "channels": (
        {"model": {"strides": [2, 2], "channels": [8]}},
        "model.channels needs 2 or 3 numbers for the 2 model.strides, got [8]",
    ),
    "stride_kernels": (
        {"model": {"stride_kernels": [25]}},
        "model.stride_kernels needs 0 or 3 numbers for the 3 model.strides, got [25]",
    ),
    "units": (
        {"model": {"units": [1, 4, 0]}},
        "model.units needs 0 or 3 numbers of at most 3, the number of model.dilations, got [1, 4",
    ),
    "name": ({"name": "a/b"}, "name must not contain"),
    "no_critic": (
        {"objective": {"kind": "gan"}},
        "objective=gan needs a critic; choose one, as in critic=hifigan",
    ),
    "idle_critic": ({"critic": WAVE}, "objective=vae faces no critic; take critic=null, or"),
    "empty_critic": (
        {"critic": {"channels": 8}},
        "critic judges nothing: set at least one of critic.wave, critic.scales, critic.periods",
    ),
    "shuffle": (
        {"critic": {"scales": 1, "phase_shuffle": 2}},
        "critic.phase_shuffle=2 is of critic.wave, which is false",
    ),
    "period": ({"critic": {"periods": [1]}}, "critic.periods must be at least 2, got 1"),
    "critic_rate": (
        {"critic": {**WAVE, "optimiser": {"learning_rate": -1}}},
        "optimiser.learning_rate must be above 0, got -1",
    ),
    "turns": (
        {"objective": {"kind": "gan", "critic_turns": 0}, "critic": WAVE},
        "objective.critic_turns must be at least 1, got 0",
    ),
    "early": (
        {"objective": {"kind": "gan", "adversarial_from": 5}, "critic": WAVE},
        "objective.adversarial_from=5 would leave a gan without anything to train; take 0",
    ),
    "labels_pattern": (
        {"data": {"kind": "audio_folder", "root": "x", "labels": "[0-9]_"}},
        "data.labels must be folder or a regular expression with a group, such as ([0-9])_, got",
    ),
    "idle_labels": (
        {
            "data": {"kind": "audio_folder", "root": "x", "labels": "folder"},
            "objective": {"kind": "vocoder"},
        },
        "data.labels=folder are of use to objective=vae, vae_gan and gan, and vocoder takes none",
    ),
    "factor": (
        {"objective": {"kind": "upsampler", "factor": 3}},
        "objective.factor must be the product of model.strides [4, 4, 2], 32, got 3",
    ),
    "means_of_sound": (
        {"objective": {"kind": "upsampler", "factor": 32, "low_rate": "mean"}},
        "objective.low_rate=mean is for series, and data=plucks is none; take objective.low_rate=f",
    ),
    "recurrent_upsampler_of_a_series": (
        {
            "data": {"kind": "sines"},
            "objective": {"kind": "upsampler", "factor": 32, "low_rate": "points"},
            "model": {"lstm": 1},
        },
        "model.lstm=1 sees a whole series, and an upsampler of series takes those of any length",
    ),
    "bands_of_a_gan": (
        {"objective": {"kind": "gan"}, "critic": WAVE, "model": {"bands": 4}},
        "model.bands=4 are of autoencoders, and objective=gan is none; take model.bands=1",
    ),
    "dense_bands": (
        {"model": {"bands": 4, "entry": "dense"}},
        "model.bands=4 are of signals of any length, and model.entry=dense makes whole ones",
    ),
    "dense_vocoder": (
        {"objective": {"kind": "vocoder"}, "model": {"entry": "dense"}},
        "model.entry=dense makes a whole signal of one latent, and objective=vocoder signals of",
    ),
    "vocoder_of_a_series": (
        {"data": {"kind": "sines"}, "objective": {"kind": "vocoder"}},
        "objective=vocoder is for audio, and data=sines is none",
    ),
    "accumulate": (
        {"train": {"batch_size": 10, "accumulate": 4}},
        "train.accumulate must divide train.batch_size 10, got 4",
    ),
    "free_bits_in_parts": (
        {"objective": {"free_bits": 0.1}, "train": {"accumulate": 2}},
        "objective.free_bits=0.1 is granted to a whole batch, and train.accumulate=2 sees it in",
    ),
}


@pytest.mark.parametrize(("values", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_value_is_refused_by_name(values: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=re.escape(message)):
        from_dict(Config, values)


NEAREST = {
    "stepz": "train.steps",
    "train.step": "train.steps",
    "lr": "nothing",
    "learning_rate": "optimiser.learning_rate",
    "optimizer.learning_rate": "optimiser.learning_rate",
    "data.strides": "model.strides",
    "trainsteps": "train.steps",
    "train.batchsize": "train.batch_size",
    "batch_size": "train.batch_size",
}


@pytest.mark.parametrize(("wrong", "right"), NEAREST.items())
def test_the_nearest_key_is_the_one_meant(wrong: str, right: str):
    guess = nearest(wrong, [setting.key for setting in settings(Config)])
    assert guess == ("" if right == "nothing" else f"; did you mean {right!r}?")


def test_paths_start_from_where_the_command_was_given():
    data = {"kind": "audio_folder", "root": "../sounds"}
    made = resolved(from_dict(Config, {"data": data, "run": "a"}), Path("/home/someone"))
    assert isinstance(made.data, config.AudioFolder)
    assert (made.data.root, made.run) == (Path("/home/sounds"), Path("/home/someone/a"))


def test_a_stored_config_is_read_back_and_does_not_hold_its_folder(tmp_path: Path):
    folder = tmp_path / "a run (1), 音=x"
    folder.mkdir()
    made = from_dict(Config, {"data": {"kind": "arrays", "path": "ö (1).npy"}, **L2, "run": "x"})
    config.save(made, folder)
    assert config.load(folder) == dataclasses.replace(made, run=folder)
    assert "run" not in yaml.safe_load((folder / config.FILE).read_text(encoding="utf-8"))


def test_a_stored_config_is_written_once(tmp_path: Path):
    config.save(Config(), tmp_path)
    with pytest.raises(FileExistsError, match="the config of a run is written once"):
        config.save(Config(name="other"), tmp_path)
    assert config.load(tmp_path).name == ""
    assert [path.name for path in tmp_path.iterdir()] == [config.FILE]


def test_recordings_that_have_moved_are_found_by_a_new_root(tmp_path: Path):
    data = {"kind": "audio_folder", "root": "/gone"}
    config.save(from_dict(Config, {"data": data}), tmp_path)
    moved = config.load(tmp_path, {"data": {"root": "/here"}})
    assert isinstance(moved.data, config.AudioFolder)
    assert moved.data.root == Path("/here")


def test_a_folder_without_a_run_is_refused_with_the_runs_beside_it(tmp_path: Path):
    (tmp_path / "first").mkdir()
    config.save(Config(), tmp_path / "first")
    with pytest.raises(ConfigError, match=r"is not a run .*; did you mean 'first'\?"):
        config.load(tmp_path / "firs")
    with pytest.raises(ConfigError, match=r"is not a run .*; runs beside it: first"):
        config.load(tmp_path / "another")


def test_a_damaged_config_is_refused(tmp_path: Path):
    for text in ("", "- a\n", "a: [1\n"):
        (tmp_path / config.FILE).write_text(text)
        with pytest.raises(ConfigError, match="is damaged"):
            config.load(tmp_path)


def test_differences_name_the_keys_and_both_values():
    old = from_dict(Config, {"name": "a", "run": "x"})
    new = from_dict(Config, {"name": "a", "run": "y", "model": {"latent": 8}})
    assert [str(each) for each in config.differences(old, new)] == ["model.latent: 16 → 8"]
    assert config.differences(old, old) == []


def test_equal_settings_have_equal_digests_in_any_folder():
    old, moved = from_dict(Config, {"run": "x"}), from_dict(Config, {"run": "y"})
    other = from_dict(Config, {"train": {"seed": 1}})
    assert config.digest(old) == config.digest(moved) != config.digest(other)


def test_what_may_change_is_a_setting():
    assert {setting.key for setting in settings(Config)} >= config.MAY_CHANGE
