"""What orbax says besides: silenced while checkpoints are open, and said in one line."""

import gc
import logging
import sys

from apps.engine import unfreed


class Quiet:
    """Silences what orbax says besides, until `end`: a full disk gives some hundred lines."""

    def __init__(self) -> None:
        self._orbax, self._asyncio = logging.getLogger("absl"), logging.getLogger("asyncio")
        self._level, self._hook = self._orbax.level, sys.unraisablehook
        self._orbax.setLevel(logging.CRITICAL)
        self._asyncio.addFilter(_nobody_waits)
        sys.unraisablehook = self._unraisable
        self._dropped = False
        self._ask_again = unfreed.ask_less()

    def end(self) -> None:
        """Lets them speak again."""
        if self._dropped:
            gc.collect()  # what is left of failed writes speaks up when it is collected
        self._orbax.setLevel(self._level)
        self._asyncio.removeFilter(_nobody_waits)
        sys.unraisablehook = self._hook
        self._ask_again()

    def _unraisable(self, found: "sys.UnraisableHookArgs") -> None:
        # Writes that end after the first one has failed find nobody to tell.
        code = getattr(found.object, "cr_code", None)
        if str(found.exc_value) == "Event loop is closed" or "orbax" in str(code):
            self._dropped = True
        else:
            self._hook(found)


def _nobody_waits(record: logging.LogRecord) -> bool:
    return "exception was never retrieved" not in record.getMessage()


def reason_of(error: BaseException) -> str:
    """Returns what went wrong, in one line, from under what orbax and TensorStore say about it."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.append(link)
        link = link.__cause__ or link.__context__
    for link in chain:
        if isinstance(link, OSError) and link.strerror:
            return link.strerror
        for known in ("No space left on device", "File too large", "Read-only file system"):
            if known in str(link):
                return known
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
