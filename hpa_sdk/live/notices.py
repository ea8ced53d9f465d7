"""Keeps the last warnings of this process, for a page to show them beside the terminal."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

_MOST = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """A warning.

    Attributes
    ----------
    time : str
        ISO 8601 in UTC.
    text : str
        What it says.
    """

    time: str
    text: str

    @classmethod
    def now(cls, text: str) -> Notice:
        """Make a notice of this moment."""
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), text)


class _Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.notices: deque[Notice] = deque(maxlen=_MOST)

    def emit(self, record: logging.LogRecord) -> None:
        notice = Notice.now(record.getMessage())
        # The folder and the page can have the same to say; once is enough, as of the last time.
        for said in [said for said in self.notices if said.text == notice.text]:
            self.notices.remove(said)
        self.notices.append(notice)


@contextmanager
def kept_notices() -> Iterator[deque[Notice]]:
    """Keep what hpa_sdk warns of in the block, each once, the newest last; it goes to stderr as before."""
    keeper, terminal = _Keeper(), logging.StreamHandler()
    logger = logging.getLogger("hpa_sdk")
    handlers = [keeper] if logger.hasHandlers() else [keeper, terminal]
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield keeper.notices
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
