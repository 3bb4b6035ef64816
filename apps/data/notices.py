"""What a person is told of the data before a run begins."""

import functools
import logging


@functools.cache
def tell_once(logger: logging.Logger, message: str) -> None:
    """Log a warning, once: train and test sources of the same files would say the same.

    A warning, since a program that sets no logging up shows nothing less.
    """
    logger.warning("%s", message)
