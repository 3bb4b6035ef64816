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
    tensorstore = getattr(place, "ts", None)
    if tensorstore is None:
        return lambda: None
    place.ts = _Sparing(tensorstore)

    def undo() -> None:
        place.ts = tensorstore

    return undo


class _Sparing:
    """The module `tensorstore`, as one part of orbax sees it."""

    def __init__(self, tensorstore: Any) -> None:
        self._tensorstore = tensorstore
        self.KvStore = _Stores(tensorstore.KvStore)

    def experimental_collect_matching_metrics(self, *_: Any) -> list[dict[str, Any]]:
        """No counters."""
        return []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tensorstore, name)


class _Stores:
    """Key-value stores: those of one folder are described once."""

    def __init__(self, stores: Any) -> None:
        self.open, self._specification = stores.open, stores.Spec
        self._described = functools.lru_cache(maxsize=16)(self._describe)

    def Spec(self, spec: Any) -> Any:
        """A specification; of a bare folder, for no more than its description."""
        if isinstance(spec, dict) and spec.keys() == {"driver", "path"}:
            return _Folder(functools.partial(self._described, json.dumps(spec)))
        return self._specification(spec)

    def _describe(self, words: str) -> dict[str, Any]:
        return self._specification(json.loads(words)).to_json()


class _Folder:
    def __init__(self, described: Callable[[], dict[str, Any]]) -> None:
        self._described = described

    def to_json(self) -> dict[str, Any]:
        return dict(self._described())
