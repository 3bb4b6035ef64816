"""Ask TensorStore for less: what it hands to Python as JSON is never freed.

TensorStore (0.1.78 to 0.1.86, the newest) keeps a reference to every key and value of what
`to_json` and `experimental_collect_matching_metrics` return. At every save orbax asks for the
former once for each array, and four times for the latter, to write a line into a log that is
silent here: of a run with a thousand arrays several hundred kilobytes a save.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

import tensorstore

try:
    from orbax.checkpoint._src.serialization import tensorstore_utils
except ImportError:  # a private place of orbax 0.12; elsewhere saves work, and leave something
    tensorstore_utils = None


def ask_less() -> Callable[[], None]:
    """Has orbax ask once for what stays the same, and not at all for counters.

    Returns:
        What undoes it.
    """
    place: Any = tensorstore_utils
    before = getattr(place, "ts", None)
    if before is None:
        return lambda: None
    place.ts = _Sparing()

    def undo() -> None:
        place.ts = before

    return undo


class _Sparing:
    """The module `tensorstore`, as one part of orbax sees it."""

    class KvStore:
        """Key-value stores: those of one folder are described once."""

        open = tensorstore.KvStore.open

        @staticmethod
        def Spec(spec: dict[str, Any]) -> Any:
            """A specification; of a bare folder, for no more than its description."""
            return _Folder(spec) if spec.keys() == {"driver", "path"} else _real(spec)

    def experimental_collect_matching_metrics(self, *_: Any) -> list[dict[str, Any]]:
        """No counters."""
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(tensorstore, name)


class _Folder:
    def __init__(self, spec: dict[str, Any]) -> None:
        self._words = json.dumps(spec)

    def to_json(self) -> dict[str, Any]:
        return dict(_described(self._words))


_real = tensorstore.KvStore.Spec


@functools.lru_cache(maxsize=16)
def _described(words: str) -> dict[str, Any]:
    return _real(json.loads(words)).to_json()
