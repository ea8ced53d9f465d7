"""Collects the last warnings of this process, which a page shows in addition to the terminal."""

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
        The message.
    """

    time: str
    text: str

    @classmethod
    def now(cls, text: str) -> Notice:
        """Create a notice with the present time."""
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), text)


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.notices: deque[Notice] = deque(maxlen=_MOST)

    def emit(self, record: logging.LogRecord) -> None:
        notice = Notice.now(record.getMessage())
        # The folder and the page can log the same message; only the last one is listed.
        for said in [said for said in self.notices if said.text == notice.text]:
            self.notices.remove(said)
        self.notices.append(notice)


@contextmanager
def collect_warnings() -> Iterator[deque[Notice]]:
    """Collect the warnings of hpa_sdk during the block, each once, the newest last; they still go to stderr."""
    collector, terminal = _Collector(), logging.StreamHandler()
    logger = logging.getLogger("hpa_sdk")
    handlers = [collector] if logger.hasHandlers() else [collector, terminal]
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield collector.notices
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
