"""Stands before the sessions of a session and notes the shape of each run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.runtime_session import Fields, RuntimeSession
from hpa_sdk.inference.session import Session


class SessionSpy:
    """A session that runs another and remembers."""

    def __init__(self, session: RuntimeSession) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.device = session.device
        self.providers = session.providers
        self.input = session.input
        self.batch_sizes = session.batch_sizes
        self._session = session

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Note the shape, and run."""
        self.shapes.append(fields.shape)
        return self._session.run(fields)


def spied(session: Session) -> SessionSpy:
    """Put a spy before the one session of a session."""
    slot = session._slots.get_nowait()
    spy = SessionSpy(slot.session)
    slot.session = spy
    session._slots.put(slot)
    return spy
