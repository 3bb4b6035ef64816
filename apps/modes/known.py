"""What is known of the signals that are to be made: their labels, and covariates at each sample."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from apps import build
from apps.build import Trained
from apps.data import Arrays, Dates, Source, fixed_batch
from apps.data.files import read_series
from apps.modes.wanted import Generate
from apps.objectives.batches import Conditions, conditions, covariates_of, label_of
from apps.schema import ConfigError, nearest

Array = NDArray[np.floating[Any]]


class Known(NamedTuple):
    """What some signals are to be.

    Attributes:
        given: The conditions of each.
        words: What to add to the name of each.
        length: Samples of their covariates; None without.
    """

    given: Conditions
    words: list[str]
    length: int | None


def of_new(wanted: Generate, run: Trained, count: int) -> Known:
    """What new signals are to be: what is asked for, or else what test records are.

    Raises:
        ConfigError: If there is no such label, or the covariates cannot be read.
    """
    signal, words = run.signal, [""] * count
    label = None if wanted.label is None else np.full(count, label_number(wanted, run))
    covariates = None
    if signal.covariates and wanted.covariates is not None:
        rows = read_covariates(wanted.covariates, run)
        covariates = np.broadcast_to(rows, (count, *rows.shape))
        words = [f"-{wanted.covariates.stem}"] * count
    elif signal.covariates:
        records = test_records(run, "covariates=FILE")
        batch = fixed_batch(records, count)
        found = covariates_of(batch)
        assert found is not None
        places = np.arange(count) % len(found)
        covariates, own = np.asarray(found)[places], label_of(batch)
        label = np.asarray(own)[places] if label is None and own is not None else label
        names = record_names(records, len(found))
        words = [f"-{names[place]}" for place in places]
    if label is None and signal.labels:
        label = np.arange(count) % len(signal.labels)
    if label is not None:
        words = [f"-{signal.labels[at]}{word}" for at, word in zip(label, words, strict=True)]
    length = None if covariates is None else covariates.shape[1]
    return Known(conditions(label, covariates), words, length)


def of_given(wanted: Generate, run: Trained, length: int) -> Conditions:
    """What a signal that a person hands in is said to be, for a batch of one.

    Raises:
        ConfigError: If it is not said, there is no such label, or the covariates do not fit.
    """
    label = covariates = None
    if run.signal.labels:
        if wanted.label is None:
            raise ConfigError(
                f"run={wanted.run} takes signals of a known class: say which, label= one of "
                f"{', '.join(run.signal.labels)}"
            )
        label = np.array([label_number(wanted, run)])
    if run.signal.covariates:
        if wanted.covariates is None:
            raise ConfigError(
                f"run={wanted.run} takes signals whose {', '.join(run.signal.covariates)} "
                "are known: give covariates=FILE"
            )
        covariates = read_covariates(wanted.covariates, run)[None]
        if covariates.shape[1] != length:
            raise ConfigError(
                f"covariates={wanted.covariates} has {covariates.shape[1]} rows, and the signal "
                f"{length} samples; give one for each"
            )
    return conditions(label, covariates)


def label_number(wanted: Generate, run: Trained) -> int:
    """The place of the label that is asked for among the run's.

    Raises:
        ConfigError: If it is none of them.
    """
    labels = run.signal.labels
    if wanted.label not in labels:
        raise ConfigError(
            f"label={wanted.label} is not one of {', '.join(labels)}, which "
            f"run={wanted.run} was trained with{nearest(str(wanted.label), labels)}"
        )
    return labels.index(str(wanted.label))


def read_covariates(path: Path, run: Trained) -> Array:
    """Covariates as the model takes them, [samples, covariates], from a table of them.

    Raises:
        FileError: If it has not the run's covariates.
    """
    names, scaling = run.signal.covariates, run.signal.covariate_scaling
    values = read_series(path, channels=len(names), columns=names).values
    return np.asarray(values if scaling is None else scaling.scale(values), np.float32)


def test_records(run: Trained, instead: str) -> Source:
    """The run's test records.

    Args:
        run: The run.
        instead: What to give where they are not there.

    Raises:
        ConfigError: If they cannot be read.
    """
    try:
        return build.source(run.config, "test")
    except (ValueError, OSError) as error:
        raise ConfigError(f"the run's own data cannot be read ({error}); give {instead}") from error


def record_names(records: Source, count: int) -> list[str]:
    """What the records of a `fixed_batch` of so many are called."""
    return [records.name(index * len(records) // count) for index in range(count)]


def record_dates(records: Source, count: int) -> list[Dates | None]:
    """When the rows of these records were, where their file says it."""
    if not isinstance(records, Arrays):
        return [None] * count
    return [records.dates(index * len(records) // count) for index in range(count)]
