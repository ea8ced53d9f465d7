"""Checks the chunks of an OME-Zarr picture: none may be too large, and a missing one must not silently become black."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import ceil, prod
from pathlib import Path
from typing import Any, Literal

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.planes import MAX_PIXELS

MissingChunks = Literal["refuse", "fill"]
"""What to do with a missing chunk: refuse its picture, or use the fill value."""

_LARGEST = 4 * MAX_PIXELS
_MOST = 1_000_000


def check_chunks(array: Any, path: Path, missing: MissingChunks) -> tuple[str, ...]:  # noqa: ANN401
    """Check the chunks of an array before any is decoded.

    By the Zarr specification, a missing chunk has the fill value everywhere. It looks the same as a chunk that was not
    copied, so an incomplete copy of a folder would be predicted with black tiles.

    Parameters
    ----------
    array : zarr.Array
        The array, in a folder.
    path : pathlib.Path
        The OME-Zarr folder.
    missing : str
        What to do with a missing chunk.

    Returns
    -------
    tuple of str
        A note with the number of chunks that are filled.

    Raises
    ------
    PlaneError
        Chunks are too large or too many; or one is missing, and `missing` or the array does not give its value.
    """
    sides = [ceil(length / side) for length, side in zip(array.shape, array.shards or array.chunks, strict=True)]
    if prod(array.chunks) > _LARGEST:
        raise PlaneError("its chunks are larger than any field", where=path, remedy="Export it in smaller chunks.")
    if prod(sides) > _MOST:
        raise PlaneError(
            f"it has {prod(sides):,} chunks, more than the {_MOST:,} of any field",
            where=path,
            remedy="Export the field alone, in larger chunks.",
        )
    gone = _missing(array, path, sides)
    first = next(gone, None)
    if first is None:
        return ()
    if missing == "refuse":
        raise PlaneError(
            f"a part of its pixels is not there ({first})",
            where=path,
            remedy="Copy it again, with all chunks. If its writer leaves out black chunks (bioformats2raw 0.12,"
            ' zarr-python 3 unless write_empty_chunks is set), set files.missing_chunks = "fill" in the station file.',
        )
    count = 1 + sum(1 for _ in gone)
    if count == prod(sides):
        raise PlaneError("none of its pixels is there: all chunks are missing", where=path, remedy="Copy it again.")
    if array.metadata.fill_value is None:
        raise PlaneError(
            f"a part of its pixels is not there ({first}), and its metadata name no fill value for it",
            where=path,
            remedy="Copy it again, with all chunks.",
        )
    return (f"{count} of {prod(sides)} chunks are not there, and were filled with {array.metadata.fill_value}",)


def _missing(array: Any, path: Path, sides: list[int]) -> Iterator[str]:  # noqa: ANN401
    for at in product(*map(range, sides)):
        chunk = Path(array.path, array.metadata.encode_chunk_key(at))
        if not Path(path, chunk).is_file():
            yield chunk.as_posix()
