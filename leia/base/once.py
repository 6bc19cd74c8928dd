"""What the log says once, on one process."""

import logging
import os

logger = logging.getLogger(__name__)

_SAID: set[str] = set()


def say_once(line: str) -> None:
    """Log a line on the first process of a launch, and once however often it is said."""
    if line not in _SAID and os.environ.get("RANK", "0") == "0":
        _SAID.add(line)
        logger.warning(line)
