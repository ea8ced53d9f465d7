"""Handles standard output that fails: one error line, or a quiet end if its reader has closed it."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from hpa_sdk.errors import OutputError
from hpa_sdk.files.atomic_write import FULL_DISK

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

CLOSED_PIPE = 141
"""Exit code if the reader of the standard output has closed it: that of programs which the signal SIGPIPE ends."""

# Windows reports a closed pipe as an invalid argument.
_READER_GONE = {errno.EPIPE, errno.EINVAL} if sys.platform == "win32" else {errno.EPIPE}


class Refusal(click.ClickException):
    """Ends a command that could not start, or whose results can't be written: one line on stderr, exit code 2."""

    exit_code = 2


@contextmanager
def standard_streams() -> Iterator[None]:
    """Write UTF-8 to the standard streams, and end the command if its output can't be written.

    A failing standard error ends nothing, because no result is written there.

    Raises
    ------
    Refusal
        The standard output can't be written, as on a full disk.
    click.exceptions.Exit
        The reader of the standard output has closed it.
    """
    before = sys.stdout, sys.stderr
    guards = _guard(sys.stdout, partial(_end_command, "standard output")), _guard(sys.stderr, _ignore_error)
    sys.stdout, sys.stderr = guards
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        for guard in guards:
            if isinstance(guard, _Guard):
                guard.release()


def is_stream(output: Path) -> bool:
    """Whether an output is not a file that can appear complete: the standard output (``-``), a pipe or a device."""
    try:
        return _descriptor(output) is not None or (output.exists() and not output.is_file() and not output.is_dir())
    except OSError:  # the system refuses the path; opening it as a file reports that
        return False


@contextmanager
def open_stream(output: Path) -> Iterator[TextIO]:
    """Open an output that `is_stream`, for text that is written at once.

    Raises
    ------
    OutputError
        It can't be opened.
    Refusal, click.exceptions.Exit
        As for `standard_streams`.
    """
    descriptor = _descriptor(output)
    if descriptor == 1:
        yield sys.stdout
        return
    try:
        # A descriptor stays open for others, and a file behind it is not truncated.
        raw = output.open("wb", buffering=0) if descriptor is None else os.fdopen(os.dup(descriptor), "wb", buffering=0)
    except OSError as error:
        raise OutputError(
            f"it can't be written ({error.strerror})", where=output, remedy="Name a file or pipe that you may write to."
        ) from error
    with raw, closing(_Guard(raw, partial(_end_command, output), line_buffering=False)) as stream:
        yield stream
        stream.flush()


def _descriptor(output: Path) -> int | None:
    """Return the descriptor that a path refers to, such as that of the standard output."""
    path = output.as_posix()
    if path in _DESCRIPTORS:
        return _DESCRIPTORS[path]
    folder, _, number = path.rpartition("/")
    return int(number) if folder in {"/dev/fd", "/proc/self/fd"} and number.isdecimal() else None


_DESCRIPTORS = {"-": 1, "/dev/stdout": 1, "/dev/stderr": 2}


def _guard(stream: Any, failed: Callable[[OSError], None]) -> Any:
    buffer = getattr(stream, "buffer", None)
    raw = (
        _NoStream() if stream is None else buffer if isinstance(buffer, io.RawIOBase) else getattr(buffer, "raw", None)
    )
    if isinstance(raw, io.RawIOBase):
        if stream is not None:
            stream.flush()
        return _Guard(raw, failed, line_buffering=getattr(stream, "line_buffering", False))
    # In memory, as in tests. Windows would otherwise use a code page that lacks most ids and names.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
    return stream


def _end_command(where: str | Path, error: OSError) -> None:
    if error.errno in _READER_GONE:
        raise click.exceptions.Exit(CLOSED_PIPE)
    full = error.errno in FULL_DISK
    refused = OutputError(
        "the disk is full" if full else f"it can't be written ({error.strerror})",
        where=where,
        remedy="Free some space and run again." if full else "Send the output to a file or program that takes it.",
    )
    raise Refusal(str(refused)) from error


def _ignore_error(_: OSError) -> None:
    """Ignore an error that can't be reported."""


class _Guard(io.TextIOWrapper):
    """A standard stream in UTF-8 whose errors go to `failed`."""

    def __init__(self, raw: io.RawIOBase, failed: Callable[[OSError], None], *, line_buffering: bool) -> None:
        self._guarded = _GuardedRaw(raw, failed)
        super().__init__(
            io.BufferedWriter(self._guarded),
            encoding="utf-8",
            errors="backslashreplace",
            newline="\n",
            line_buffering=line_buffering,
        )

    def release(self) -> None:
        """Write the rest of the buffer after the command has ended."""
        self._guarded.failed = _ignore_error
        self.flush()


class _GuardedRaw(io.RawIOBase):
    """Writes to another stream; after an error it discards the data, so that emptying a buffer raises nothing more."""

    def __init__(self, raw: io.RawIOBase, failed: Callable[[OSError], None]) -> None:
        self._raw = raw
        self._broken = False
        self.failed = failed

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: ReadableBuffer, /) -> int | None:
        size = memoryview(data).nbytes
        if self._broken:
            return size
        try:
            return self._raw.write(data)  # type: ignore[no-any-return, attr-defined, unused-ignore]
        except OSError as error:
            self._broken = True
            self.failed(error)
        return size


class _NoStream(io.RawIOBase):
    """The stream of a program that was started without one."""

    def writable(self) -> bool:
        return True

    def write(self, _: ReadableBuffer, /) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
