"""Extracts the ONNX file and other members from a bioimage.io package, so that a package loads like the bare file."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hpa_sdk.errors import ModelFileError

LARGEST_MODEL = 2**31 - 1
"""Size limit in bytes of an unpacked model: the maximum of one protobuf message."""

LARGEST_INFLATION = 20
"""Largest allowed ratio of unpacked to packed size. Weights hardly compress: a factor of 1.1 is usual."""

LARGEST_DESCRIPTION = 2**20
"""Size limit in bytes of the description of a package."""

_DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml", "model.yaml")
_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
_ENCRYPTED = 0x1
_REMEDY = "Name a package made by python -m export bioimageio, or the .onnx file itself."


def read_packed_model(file: BinaryIO, where: Path) -> bytes | None:
    """Read the only ONNX file of a package into memory. Nothing is written to the disk.

    Parameters
    ----------
    file : BinaryIO
        Any file, opened for reading. A package is recognized by its first bytes, not by its extension.
    where : pathlib.Path
        Its path, for messages.

    Returns
    -------
    bytes or None
        The content of the package's only ``.onnx`` file, with its checksum verified; None if the file is not a zip.

    Raises
    ------
    ModelFileError
        The package contains no ONNX file or several, is truncated or damaged, or its ONNX file is encrypted, uses a
        compression other than the two standard ones of zip, or exceeds `LARGEST_MODEL` or `LARGEST_INFLATION`.
    OSError
        The file can't be read.
    """
    if file.read(4) not in _MAGIC:
        return None
    with _open(file, where) as package:
        # The decoder returns no more bytes than the size that was checked.
        return package.read(_only_model(package, where))


def read_packed_description(file: BinaryIO, where: Path) -> bytes | None:
    """Read the description of a package, a YAML text.

    Parameters
    ----------
    file, where
        As for `read_packed_model`.

    Returns
    -------
    bytes or None
        None if the file is not a zip, or has no description.

    Raises
    ------
    ModelFileError
        The package is damaged, or the description is encrypted or too large.
    OSError
        The file can't be read.
    """
    file.seek(0)
    if file.read(4) not in _MAGIC:
        return None
    with _open(file, where) as package:
        names = [name for name in package.namelist() if name in _DESCRIPTIONS or name.endswith(".bioimageio.yaml")]
        return read_member(package, names[0], where, LARGEST_DESCRIPTION) if names else None


def read_packed_members(file: BinaryIO, names: list[str], where: Path, largest: int) -> list[bytes]:
    """Read members of a package into memory.

    Raises
    ------
    ModelFileError
        The package is damaged, or a member is missing, encrypted, or larger than `largest` bytes.
    OSError
        The file can't be read.
    """
    with _open(file, where) as package:
        return [read_member(package, name, where, largest) for name in names]


def read_member(package: zipfile.ZipFile, name: str, where: Path, largest: int) -> bytes:
    """Read a member of an open package, as `read_packed_members` does."""
    try:
        entry = package.getinfo(name)
    except KeyError as error:
        raise ModelFileError(f"the package holds no file {name}", where=where, remedy="Get it again.") from error
    _check_packing(entry, where)
    if entry.file_size > largest:
        raise ModelFileError(
            f"{name} in the package takes {entry.file_size:,} bytes; up to {largest:,} are read",
            where=where,
            remedy=_REMEDY,
        )
    return package.read(entry)


@contextmanager
def _open(file: BinaryIO, where: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as package:
            yield package
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ModelFileError(
            f"the package is damaged or cut short ({error})", where=where, remedy="Copy or export it again."
        ) from error


def _only_model(package: zipfile.ZipFile, where: Path) -> zipfile.ZipInfo:
    models = [entry for entry in package.infolist() if entry.filename.lower().endswith(".onnx")]
    if len(models) != 1:
        raise ModelFileError(f"the package holds {len(models)} ONNX files, not one", where=where, remedy=_REMEDY)
    (model,) = models
    _check_packing(model, where)
    if model.file_size > min(LARGEST_MODEL, LARGEST_INFLATION * model.compress_size):
        raise ModelFileError(
            f"the package's {model.compress_size:,} bytes would unpack to {model.file_size:,}, which no model does",
            where=where,
            remedy=_REMEDY,
        )
    return model


def _check_packing(entry: zipfile.ZipInfo, where: Path) -> None:
    if entry.flag_bits & _ENCRYPTED:
        raise ModelFileError("the package is encrypted", where=where, remedy="Unpack it and name its .onnx file.")
    if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ModelFileError(
            "the package is packed in a way that is not read", where=where, remedy="Unpack it and name its .onnx file."
        )
