"""Extracts the ONNX file from a bioimage.io package, so that a package loads like the bare file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import BinaryIO

from hpa_sdk.errors import ModelFileError

LARGEST_MODEL = 2**31 - 1
"""Size limit in bytes of an unpacked model: the maximum of one protobuf message."""

LARGEST_INFLATION = 20
"""Largest allowed ratio of unpacked to packed size. Weights hardly compress: a factor of 1.1 is usual."""

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
    try:
        with zipfile.ZipFile(file) as package:
            # The decoder returns no more bytes than the size that was checked.
            return package.read(_only_model(package, where))
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        raise ModelFileError(
            f"the package is damaged or cut short ({error})", where=where, remedy="Copy or export it again."
        ) from error


def _only_model(package: zipfile.ZipFile, where: Path) -> zipfile.ZipInfo:
    models = [entry for entry in package.infolist() if entry.filename.lower().endswith(".onnx")]
    if len(models) != 1:
        raise ModelFileError(f"the package holds {len(models)} ONNX files, not one", where=where, remedy=_REMEDY)
    (model,) = models
    if model.flag_bits & _ENCRYPTED:
        raise ModelFileError("the package is encrypted", where=where, remedy="Unpack it and name its .onnx file.")
    if model.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
        raise ModelFileError(
            "the package is packed in a way that is not read", where=where, remedy="Unpack it and name its .onnx file."
        )
    if model.file_size > min(LARGEST_MODEL, LARGEST_INFLATION * model.compress_size):
        raise ModelFileError(
            f"the package's {model.compress_size:,} bytes would unpack to {model.file_size:,}, which no model does",
            where=where,
            remedy=_REMEDY,
        )
    return model
