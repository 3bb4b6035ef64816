"""Batches by number: the position of a run is its step, so a resumed run reads what it would have.

Grain gives the order (shuffled anew every epoch, any place of it at once); the reading is ours.
Grain's worker processes are not used: they die in any program that does not parse absl's flags,
and measured slower than one process. Nothing is filtered on the way either, which would leave
holes: a source knows its usable records beforehand.
"""

import queue
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from apps.data.checks import check_whole
from apps.data.source import AnyBatch, Example, Source, batch_of

_AHEAD = 2  # batches made before they are asked for: enough to hide one slow read


class RecordError(RuntimeError):
    """A record that could not be made into an example.

    Attributes:
        step: The batch it was meant for.
        name: The record.
    """

    def __init__(self, step: int, name: str, reason: Exception):
        super().__init__(f"batch {step}: {name!r} could not be read: {reason}")
        self.step = step
        self.name = name


class Loader:
    """Endless batches of a source, each a pure function of (seed, step).

    Every epoch holds every record once, in an order of its own. Epochs follow one another without
    a gap, so a batch may end one and begin the next; a source of fewer records than the batch
    size works too, its batches then span several epochs.

    Batches of a source with labels or covariates are `Conditioned`.

    Args:
        source: The records.
        batch_size: Records of a batch.
        seed: Of the order and of the crops.
        workers: Threads that read the records of one batch; 0 reads them one after the other,
            which is fastest for local files. The batches are the same for any number.
        rows: Which part of each batch is read: that of this process, where several train
            together. None is all of it.

    Raises:
        ValueError: If the source is empty or an argument is out of range.
    """

    def __init__(
        self,
        source: Source,
        *,
        batch_size: int,
        seed: int,
        workers: int = 0,
        rows: slice | None = None,
    ):
        check_whole("batch_size", batch_size)
        check_whole("seed", seed, least=0, most=2**32 - 1)
        check_whole("workers", workers, least=0)
        if len(source) == 0:
            raise ValueError("the source has no records: nothing to make batches of")
        import grain  # a second or more (it brings jax), which reading a single file need not pay

        # The seed is given to `shuffle` itself: one derived from the pipeline would change with
        # every transformation added to it, and old runs could not be resumed.
        order = grain.MapDataset.range(len(source)).shuffle(seed=seed)
        self._order = order.repeat().batch(batch_size)
        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.workers = workers
        self._places = range(batch_size)[rows or slice(None)]

    def batch(self, step: int) -> AnyBatch:
        """The batch of a step, from 0; of several processes each has its own rows of it.

        Raises:
            RecordError: If a record cannot be read; names it.
            ValueError: If `step` is negative.
        """
        indices = self._indices(step)
        own = [indices[place] for place in self._places]

        def read(place: int) -> Example:
            return self._read(step, place, indices[place])

        if self.workers == 0:
            return batch_of(self.source, own, [read(place) for place in self._places])
        with ThreadPoolExecutor(self.workers) as pool:
            return batch_of(self.source, own, list(pool.map(read, self._places)))

    def names(self, step: int) -> tuple[str, ...]:
        """The records of a step's batch, in its order; nothing is read."""
        return tuple(self.source.name(index) for index in self._indices(step))

    def batches(self, start: int) -> Generator[AnyBatch, None, None]:
        """The batches from step `start` on, made ahead by one thread.

        The thread begins with the first batch asked for, and ends when the generator is closed
        or forgotten. What goes wrong in it is raised here.

        Raises:
            ValueError: If `start` is negative.
        """
        check_whole("start", start, least=0)
        return self._ahead(start)

    def _indices(self, step: int) -> list[int]:
        check_whole("step", step, least=0)
        return np.asarray(self._order[step]).tolist()

    def _read(self, step: int, place: int, index: int) -> Example:
        # Numbered by place in the endless order of records: another batch size crops alike.
        # Not made for who crops nothing: it takes longer than reading a window.
        number = step * self.batch_size + place
        rng = np.random.default_rng((self.seed, number)) if self.source.crops else None
        try:
            return self.source.example(index, rng)
        except Exception as error:
            raise RecordError(step, self.source.name(index), error) from error

    def _ahead(self, start: int) -> Generator[AnyBatch, None, None]:
        ready: queue.Queue[AnyBatch | Exception] = queue.Queue(_AHEAD)
        stopped = threading.Event()

        def make() -> None:
            step = start
            while not stopped.is_set():
                try:
                    ready.put(self.batch(step))
                except Exception as error:
                    ready.put(error)
                    return
                step += 1

        # A daemon, so that a program which never closes the generator can still end.
        thread = threading.Thread(target=make, name=f"batches from {start}", daemon=True)
        thread.start()
        try:
            while True:
                item = ready.get()
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            stopped.set()
            while not ready.empty():  # at most one `put` is waiting: room for it ends the thread
                ready.get_nowait()
            thread.join()
