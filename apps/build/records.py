"""From settings to records and batches."""

from jax.sharding import Mesh

from apps import config as settings
from apps.config import Config
from apps.data import Arrays, AudioFolder, Loader, Plucks, Sines, Source, Tones
from apps.engine.mesh import own_rows


def source(config: Config, split: str) -> Source:
    """Return the records of a split, ``"train"`` or ``"test"``."""
    return records(config.data, split)


def records(
    data: settings.Plucks
    | settings.Sines
    | settings.Tones
    | settings.AudioFolder
    | settings.Arrays,
    split: str,
) -> Source:
    """Return the records of a split of data that need not go with an objective."""
    match data:
        case settings.Plucks():
            return Plucks(
                split=split, length=data.length, rate=data.rate, count=data.count, seed=data.seed,
                lowest=data.lowest, highest=data.highest, hiss=data.hiss
            )  # fmt: skip
        case settings.Sines():
            return Sines(
                split=split, length=data.length, channels=data.channels, count=data.count,
                seed=data.seed
            )  # fmt: skip
        case settings.Tones():
            return Tones(
                split=split, length=data.length, rate=data.rate, modes=data.modes,
                lowest=data.lowest, spacing=data.spacing, count=data.count, seed=data.seed,
                labels=data.labels is not None, covariates=data.covariates is not None
            )  # fmt: skip
        case settings.AudioFolder():
            return AudioFolder(
                root=data.root, split=split, length=data.length, rate=data.rate,
                channels=data.channels, peak=data.peak, on_bad=data.on_bad,
                test_pattern=data.test_pattern, test_fraction=data.test_fraction, seed=data.seed,
                labels=data.labels
            )  # fmt: skip
        case settings.Arrays():
            return Arrays(
                path=data.path, split=split, key=data.key, length=data.length, stride=data.stride,
                scaling=data.scaling, split_by=data.split_by, missing=data.missing,
                test_fraction=data.test_fraction, seed=data.seed, date_column=data.date_column,
                newest_first=data.newest_first,
                covariates=data.covariates, labels=data.labels
            )  # fmt: skip


def loader(
    config: Config, records: Source, *, devices: Mesh | None = None, parts: int = 1
) -> Loader:
    """Return the batches of the training records, as large as all the turns of a step need.

    With `devices`, the rows of them that lie on this process's devices.
    """
    train = config.train
    size = train.batch_size * parts
    rows = None if devices is None else own_rows(devices, size)
    return Loader(records, batch_size=size, seed=train.seed, workers=train.workers, rows=rows)
