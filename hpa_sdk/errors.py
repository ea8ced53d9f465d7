"""Defines the errors that a caller can handle: each says what was wrong, where, and what to do next."""

from __future__ import annotations

from os import PathLike, fspath


class HpaError(Exception):
    """Base of every error that this project raises on purpose.

    Parameters
    ----------
    what : str
        What was wrong, as a clause without a full stop.
    where : str or os.PathLike, optional
        The file, folder, table row or setting it was found in.
    remedy : str
        What the reader can do about it, as a full sentence.
    """

    def __init__(self, what: str, *, where: str | PathLike[str] | None = None, remedy: str) -> None:
        self.what = what
        self.where = None if where is None else fspath(where)
        self.remedy = remedy
        place = "" if self.where is None else f"{self.where}: "
        super().__init__(f"{place}{what}. {remedy}")

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by attributes, so that a copy in another process has all of them."""
        return (_rebuild, (type(self), self.what, self.where, self.remedy), self.__dict__)


def _rebuild(kind: type[HpaError], what: str, where: str | None, remedy: str) -> HpaError:
    error = kind.__new__(kind)
    HpaError.__init__(error, what, where=where, remedy=remedy)
    return error


class SampleError(HpaError):
    """There is no sample at the given path, or a file name does not say which channel it is."""


class PlaneError(HpaError):
    """A sample's planes can't be read, or are not what the preprocessing accepts."""


class TableError(HpaError):
    """A table of ids or labels can't be used."""


class ModelFileError(HpaError):
    """A file is not an ONNX model that this package can run."""


class ModelCardError(HpaError):
    """A model has no card, or a card that this version can't read."""


class DeviceError(HpaError):
    """A device that was requested by name is not available, or it failed while running."""


class OutputError(HpaError):
    """A result can't be written to the requested file."""


class CatalogueError(HpaError):
    """A catalogue of models can't be read, or contradicts itself."""


class DownloadError(HpaError):
    """Data can't be fetched, or is not the requested data."""


class TransientError(DownloadError):
    """A failure of a download that a retry may solve: a cut connection, a busy server, a damaged copy."""


class UnreachableError(TransientError):
    """The server can't be reached at all."""


class QualityError(HpaError):
    """A field does not look like those that a network is trained on, and the user does not want such answers."""


class SettingError(HpaError):
    """A setting is out of its range."""


def count_of(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 field``, ``2 fields``, ``31,072 fields``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
