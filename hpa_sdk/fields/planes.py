"""Shared by all readers of planes: the size limits of a plane, and one error type for all exceptions of decoders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hpa_sdk.errors import HpaError, PlaneError

MAX_PIXELS = 64 * 1024 * 1024
"""Largest plane that is decoded: 8192 x 8192. The largest confocal fields are 4096 x 4096."""

MIN_SIDE = 16
"""Shortest side of a plane in pixels. A smaller picture can't show a cell."""

COPY_AGAIN = "Copy or export the file again; if it still fails, leave the field out."
"""The remedy for a damaged file."""


def check_size(width: int, height: int, path: Path) -> None:
    """Check the size of a plane before it is decoded.

    Raises
    ------
    PlaneError
        It has more than `MAX_PIXELS`, or a side shorter than `MIN_SIDE`.
    """
    if width * height > MAX_PIXELS:
        raise PlaneError(
            f"the plane has {width}x{height} pixels, more than the {MAX_PIXELS:,} that are read",
            where=path,
            remedy="Cut it into fields of view first.",
        )
    if min(width, height) < MIN_SIDE:
        raise PlaneError(
            f"the plane has {width}x{height} pixels; a side needs at least {MIN_SIDE}",
            where=path,
            remedy="Give a whole field of view.",
        )


def damaged(reason: object, path: Path) -> PlaneError:
    """Make the error for a damaged file."""
    return PlaneError(f"the plane is damaged ({reason})", where=path, remedy=COPY_AGAIN)


@contextmanager
def plane_errors(path: Path) -> Iterator[None]:
    """Convert any exception of a decoder to a `PlaneError` that names the file.

    Raises
    ------
    PlaneError
        The file can't be read, or is damaged.
    FileNotFoundError
        There is no such file.
    """
    try:
        yield
    except (HpaError, FileNotFoundError):
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise PlaneError(f"the plane can't be read ({reason})", where=path, remedy=COPY_AGAIN) from error
    except Exception as error:  # for a damaged file, a decoder can raise anything
        raise damaged(error, path) from error
