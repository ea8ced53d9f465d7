"""Gets one plane of a published field: from the disk if it is complete there, else from the server."""

from __future__ import annotations

import threading
from pathlib import Path

from PIL import Image

from hpa_sdk.errors import HpaError, OutputError, PlaneError, TransientError, UnreachableError
from hpa_sdk.fields.reading import read_plane
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.files.partial_file import PartialFile
from training.data.hpa_format import DamagedPictureError, plane_of_jpeg
from training.download.errors import StoppedError
from training.download.fetch import Fetcher
from training.download.tables import PlaneFailure
from training.download.url_pattern import UrlPattern

OFFLINE_AFTER = 24
"""After this number of planes in a row without a connection to the server the run ends: the network is down."""

MAX_BYTES = 32 * 1024 * 1024
"""Largest file that is fetched; the published JPEG of a plane of 2048 x 2048 pixels has about 2 MB."""

_FAST_COMPRESSION = 1

Shape = tuple[int, ...]
"""Height and width of a plane in pixels."""


class PublishedPlanes:
    """Gets the planes of published fields, one per call; thread-safe.

    Parameters
    ----------
    folder, partial_folder : pathlib.Path
        Folders for complete planes and for partly received ones.
    pattern : UrlPattern
        Their addresses.
    size : int
        Height and width in pixels; 0 keeps those of the pictures.
    fetcher : Fetcher
        Fetches them.
    stopped : threading.Event
        Set from outside to stop; set here when the server can no longer be reached.
    """

    def __init__(
        self,
        folder: Path,
        partial_folder: Path,
        *,
        pattern: UrlPattern,
        size: int,
        fetcher: Fetcher,
        stopped: threading.Event,
    ) -> None:
        self._folder = folder
        self._partial_folder = partial_folder
        self._pattern = pattern
        self._size = size
        self._fetcher = fetcher
        self._stopped = stopped
        self._lock = threading.Lock()
        self._unreachable = 0

    @property
    def unreachable(self) -> int:
        """Number of planes in a row, up to the last one, that could not reach the server."""
        return self._unreachable

    def get(self, task: tuple[str, Channel]) -> tuple[str, Channel, Shape] | PlaneFailure | None:
        """Get one plane, given by field and channel.

        Returns
        -------
        tuple, PlaneFailure or None
            Field, channel and shape of the plane that is now there; why it is not; or None if the run was stopped
            before.

        Raises
        ------
        OutputError
            The disk is full or not writable: the plane is not the cause, and the next one would fail too.
        """
        if self._stopped.is_set():
            return None
        field_id, channel = task
        try:
            shape = self._get_shape(field_id, channel)
        except StoppedError:
            return None
        except OutputError:
            raise
        except Exception as error:  # noqa: BLE001 - recorded; one plane must not stop the others
            self._count(error)
            reason = error.what if isinstance(error, HpaError) else f"{type(error).__name__}: {error}"
            return PlaneFailure(field_id, channel, self._pattern.url(field_id, channel), reason)
        self._count(None)
        return field_id, channel, shape

    def _get_shape(self, field_id: str, channel: Channel) -> Shape:
        file = self._folder / f"{field_id}_{channel}.png"
        shape = _shape_on_disk(file, self._size)
        if shape is not None:
            return shape

        def keep(content: bytes) -> Shape:
            try:
                plane = plane_of_jpeg(content, channel, size=self._size)
            except DamagedPictureError as error:
                raise TransientError(error.what, remedy=error.remedy) from error
            with atomic_write(file) as partial:
                Image.fromarray(plane).save(partial, format="PNG", compress_level=_FAST_COMPRESSION)
            return plane.shape

        partial = PartialFile(self._partial_folder / f"{field_id}_{channel}", largest=MAX_BYTES)
        return self._fetcher.fetch(self._pattern.url(field_id, channel), partial, keep)

    def _count(self, error: Exception | None) -> None:
        with self._lock:
            self._unreachable = self._unreachable + 1 if isinstance(error, UnreachableError) else 0
        if self._unreachable >= OFFLINE_AFTER:
            self._stopped.set()


def _shape_on_disk(file: Path, size: int) -> Shape | None:
    try:
        shape = read_plane(file).shape if file.is_file() else None
    except PlaneError:
        return None
    return None if size and shape != (size, size) else shape
