"""Wraps the runtime sessions of a session and records the shape of each run."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hpa_sdk.inference.runtime_session import Fields, RuntimeSession
from hpa_sdk.inference.session import Session


class SessionSpy:
    """A runtime session that runs another and records the shapes."""

    def __init__(self, session: RuntimeSession) -> None:
        self.shapes: list[tuple[int, ...]] = []
        self.device = session.device
        self.providers = session.providers
        self.input = session.input
        self.batch_sizes = session.batch_sizes
        self._session = session

    def run(self, fields: Fields) -> list[npt.NDArray[np.float32]]:
        """Record the shape, and run."""
        self.shapes.append(fields.shape)
        return self._session.run(fields)


def spied(session: Session) -> SessionSpy:
    """Put a spy in front of the next runtime session of a session."""
    slot = session._take()
    spy = SessionSpy(slot.session)
    slot.session = spy
    session._slots.put(slot)
    return spy
