"""Writes what Keras measures in each epoch as TensorBoard events, under every backend.

Keras' own TensorBoard callback needs TensorFlow to write; this one needs the event format alone.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import keras
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from hpa_sdk.errors import OutputError

EVENTS = "tensorboard"
"""Folder in a run folder that ``tensorboard --logdir`` reads."""

_VALIDATION = "val_"


class WriteEvents(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes the measurements of an epoch when it ends, those of training and of validation under the same names.

    Parameters
    ----------
    folder : pathlib.Path
        For messages.
    training, validation : RecordWriter
        What TensorBoard draws as two lines in one panel.

    Raises
    ------
    OutputError
        The disk is full, or the folder is gone.
    """

    def __init__(self, folder: Path, training: RecordWriter, validation: RecordWriter) -> None:
        super().__init__()
        self._folder = folder
        self._training = training
        self._validation = validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch, and see it onto the disk."""
        with _output_errors(self._folder):
            for name, value in (logs or {}).items():
                writer = self._validation if name.startswith(_VALIDATION) else self._training
                point = Summary.Value(tag=name.removeprefix(_VALIDATION), simple_value=value)
                _write(writer, epoch, summary=Summary(value=[point]))
            for writer in (self._training, self._validation):
                writer.flush()


@contextmanager
def write_events(folder: Path, *, first_epoch: int) -> Iterator[WriteEvents]:
    """Give a callback that adds to the events in a folder.

    TensorBoard reads the files of a folder as one. Each starts with the mark of a new session, by which it leaves out
    what earlier files say of `first_epoch` and later ones: so an epoch that a killed fit had written and not kept
    shows once.

    Parameters
    ----------
    folder : pathlib.Path
        Made where it is missing.
    first_epoch : int
        The epoch that the fit goes on with, from 0.

    Raises
    ------
    OutputError
        The folder can't be written to.
    """
    with _output_errors(folder):
        writers = [_open(folder / part, first_epoch) for part in ("training", "validation")]
    try:
        yield WriteEvents(folder, *writers)
    finally:
        for writer in writers:
            # Each epoch was seen onto the disk when it ended: one that could not be has been told of by then.
            with suppress(OSError):
                writer.close()


def _open(folder: Path, first_epoch: int) -> RecordWriter:
    folder.mkdir(parents=True, exist_ok=True)
    # TensorBoard looks for this name, and reads in the order of names.
    writer = RecordWriter(str(folder / f"events.out.tfevents.{first_epoch:06}"))
    _write(writer, first_epoch, file_version="brain.Event:2")
    _write(writer, first_epoch, session_log=SessionLog(status=SessionLog.START))
    return writer


def _write(writer: RecordWriter, epoch: int, **what: str | Summary | SessionLog) -> None:
    writer.write(Event(wall_time=time.time(), step=epoch, **what).SerializeToString())


@contextmanager
def _output_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"the TensorBoard events can't be written ({error.strerror})",
            where=folder,
            remedy="Mend that (free some space, say) and go on with --resume.",
        ) from error
