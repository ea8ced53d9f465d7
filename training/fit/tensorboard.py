"""Writes Keras' metrics of each epoch as TensorBoard events, under every backend.

Keras' own TensorBoard callback needs TensorFlow to write; this one only needs the event format.
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

from training.errors import output_errors

EVENTS = "tensorboard"
"""Folder in a run folder that ``tensorboard --logdir`` reads."""

_VALIDATION = "val_"
_REMEDY = "Fix that (free some space, for example) and resume with --resume."


class WriteEvents(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Writes the metrics of an epoch at its end, those of training and of validation under the same names.

    Parameters
    ----------
    folder : pathlib.Path
        For messages.
    training, validation : RecordWriter
        TensorBoard draws these as two lines in one panel.

    Raises
    ------
    OutputError
        The disk is full, or the folder was removed.
    """

    def __init__(self, folder: Path, training: RecordWriter, validation: RecordWriter) -> None:
        super().__init__()
        self._folder = folder
        self._training = training
        self._validation = validation

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch, and sync it to disk."""
        with output_errors("TensorBoard events", self._folder, remedy=_REMEDY):
            for name, value in (logs or {}).items():
                writer = self._validation if name.startswith(_VALIDATION) else self._training
                point = Summary.Value(tag=name.removeprefix(_VALIDATION), simple_value=value)
                _write(writer, epoch, summary=Summary(value=[point]))
            for writer in (self._training, self._validation):
                writer.flush()


@contextmanager
def write_events(folder: Path, *, first_epoch: int) -> Iterator[WriteEvents]:
    """Yield a callback that appends to the events in a folder.

    TensorBoard reads the files of a folder as one. Each starts with the mark of a new session, which makes TensorBoard
    ignore `first_epoch` and later epochs in earlier files: so an epoch that a killed fit had written but not saved
    appears once.

    Parameters
    ----------
    folder : pathlib.Path
        Made if it is missing.
    first_epoch : int
        The epoch from which the fit is resumed, from 0.

    Raises
    ------
    OutputError
        The folder can't be written to.
    """
    with output_errors("TensorBoard events", folder, remedy=_REMEDY):
        writers = [_open(folder / part, first_epoch) for part in ("training", "validation")]
    try:
        yield WriteEvents(folder, *writers)
    finally:
        for writer in writers:
            # Each epoch was synced to disk at its end, so an error was already raised then.
            with suppress(OSError):
                writer.close()


def _open(folder: Path, first_epoch: int) -> RecordWriter:
    folder.mkdir(parents=True, exist_ok=True)
    # TensorBoard looks for this name, and reads files in the order of their names.
    writer = RecordWriter(str(folder / f"events.out.tfevents.{first_epoch:06}"))
    _write(writer, first_epoch, file_version="brain.Event:2")
    _write(writer, first_epoch, session_log=SessionLog(status=SessionLog.START))
    return writer


def _write(writer: RecordWriter, epoch: int, **what: str | Summary | SessionLog) -> None:
    writer.write(Event(wall_time=time.time(), step=epoch, **what).SerializeToString())
