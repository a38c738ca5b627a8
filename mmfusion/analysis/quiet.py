"""Work whose log would hide what was asked for."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from mmengine.logging import MMLogger


@contextmanager
def quiet() -> Iterator[None]:
    """Without mmengine's lines, errors excepted: its tables of every test, its lines on every parameter.

    Yields:
        None

    Examples:
        >>> with quiet():
        ...     MMLogger.get_current_instance().level == logging.ERROR
        True
    """
    logger = MMLogger.get_current_instance()
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
