"""Says how a model file was adapted to the fields of one lab, and what that changed in its accuracy."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hpa_sdk.files.file_state import FileState
from hpa_sdk.models.onnx_file import file_sha256

_HASH = 6  # bytes: two of some thousand fields are equal once in a hundred million times


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure before and after the adaptation, on fields that neither was fitted on (nested cross-validation).

    Attributes
    ----------
    figure : str
        Its name, such as ``"macro F1"``.
    before, after : float
        Of the parent and of the adapted model.
    low, high : float
        95 % interval of the difference, after minus before, by a paired bootstrap over the fields.
    """

    figure: str
    before: float
    after: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Adaptation:
    """How a model file was made from another one, its parent, with the reviewed fields of one lab.

    Attributes
    ----------
    parent : str
        Name of the parent.
    parent_sha256 : str
        SHA-256 of the parent's file, in hexadecimal.
    data : str
        Name of the reviewed fields.
    data_fingerprint : str
        SHA-256, in hexadecimal, of their ids and labels.
    fields : int
        Number of fields.
    changes : tuple of str
        What differs from the parent, in words.
    new_labels : tuple of str
        Classes that the parent does not have.
    figures : tuple of FigureChange
        Figures before and after.
    forced : bool
        Whether the user forced a change that is not better than the parent by more than chance.
    field_hashes : bytes
        Of each of these fields, and of those that the parent was adapted to: its `field_hash`. By these, nothing is
        judged on the fields again unnoticed, nor adapted to them once more.
    """

    parent: str
    parent_sha256: str
    data: str
    data_fingerprint: str
    fields: int
    changes: tuple[str, ...]
    figures: tuple[FigureChange, ...]
    new_labels: tuple[str, ...] = ()
    forced: bool = False
    field_hashes: bytes = b""

    @property
    def known_fields(self) -> frozenset[bytes]:
        """The hashes of the fields that the file was adapted to."""
        return split_hashes(self.field_hashes)


def split_hashes(joined: bytes) -> frozenset[bytes]:
    """Return the hashes of fields that `Adaptation.field_hashes` joins."""
    return frozenset(joined[at : at + _HASH] for at in range(0, len(joined), _HASH))


def field_hash(files: Iterable[FileState], scene: str = "") -> bytes:
    """Identify a field by the content of its files, so that a copy under another name is the same field.

    Parameters
    ----------
    files : iterable of FileState
        The files of the planes that the model takes.
    scene : str
        What tells the field from others in the same files.

    Raises
    ------
    OSError
        A file can't be read.
    """
    contents = sorted(map(_content_of, files))
    return hashlib.sha256(f"{contents} {scene}".encode("utf-8", "backslashreplace")).digest()[:_HASH]


def _content_of(file: FileState) -> str:
    path = Path(file.path)
    if file.stamp.sha256 is not None or not path.is_dir():
        return file.stamp.sha256 or file_sha256(path)
    below = sorted(one for one in path.rglob("*") if one.is_file())  # OME-Zarr
    return hashlib.sha256(
        repr([(one.relative_to(path).as_posix(), file_sha256(one)) for one in below]).encode()
    ).hexdigest()
