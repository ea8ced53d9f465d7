"""A folder of fields and a model file to which anything is done, and that knows every state that they ever had."""

from __future__ import annotations

import hashlib
import io
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from hpa_sdk import Prediction, Predictor
from hpa_sdk.fields.picture_file import read_picture
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.tiff_file import decode
from hpa_sdk.files.file_state import FileStamp, FileState, stamp_of
from hpa_sdk.models.model_card import METADATA_KEY
from tests.small import CARD, build_model

SIDE = 32
CONTENTS = 24
"""Different planes: of one size, so that their files have one size too."""


@lru_cache(maxsize=1)
def planes() -> list[npt.NDArray[np.uint8]]:
    """Return all planes that a file can hold, each of a brightness of its own."""
    rng = np.random.default_rng(11)
    return [(rng.random((SIDE, SIDE)) * (8 + 10 * at)).astype(np.uint8) for at in range(CONTENTS)]


@lru_cache(maxsize=CONTENTS)
def file_bytes(content: int) -> bytes:
    """Return a plane as an uncompressed TIFF: equal sizes for all."""
    file = io.BytesIO()
    Image.fromarray(planes()[content]).save(file, "TIFF")
    return file.getvalue()


@lru_cache(maxsize=3)
def model_bytes(number: int) -> bytes:
    """Return a model of the contract."""
    model = build_model(seed=number)
    onnx.helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    content: bytes = model.SerializeToString()
    return content


MODELS = 3

DEEDS = {
    "replace_plane": 4,
    "rewrite_plane": 4,
    "replace_field": 2,
    "swap_fields": 4,
    "swap_planes": 2,
    "remove_plane": 1,
    "restore_planes": 2,
    "set_times": 2,
    "change_model": 2,
}
"""What can be done, and how often it is in a random order."""


@lru_cache(maxsize=1)
def _references() -> dict[str, Predictor]:
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        loaded = {}
        for number in range(MODELS):
            path.write_bytes(model_bytes(number))
            predictor = Predictor.load(path, device="cpu", threads=1)
            loaded[hashlib.sha256(model_bytes(number)).hexdigest()] = predictor
    return loaded


@lru_cache(maxsize=10_000)
def _expected(model: str, contents: tuple[int, ...]) -> npt.NDArray[np.float32]:
    field = np.stack([planes()[content] for content in contents])
    return _references()[model].predict_planes(field[None])[0].probabilities


@dataclass(slots=True)
class _State:
    content: int
    last: int | None = None  # the moment after which it was no more; None while it is


class World:
    """Fields of four TIFF files, and a model file.

    Parameters
    ----------
    folder : pathlib.Path
        An empty folder.
    fields : int
        How many.
    seed : int
        Of what is done.
    """

    def __init__(self, folder: Path, *, fields: int, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - a repeatable order, no secret
        self.moment = 0
        self._lock = threading.RLock()
        self.fields = folder / "fields"
        self.aside = folder / "aside"
        for made in (self.fields, self.aside):
            made.mkdir(parents=True)
        self.names = [f"field-{at}" for at in range(fields)]
        self.model = folder / "model.onnx"
        self._states: dict[str, dict[FileStamp, _State]] = {}
        self._current: dict[str, _State] = {}
        self.model.write_bytes(model_bytes(0))
        for name in self.names:
            for file in self.files(name):
                self._write(file, self._any_content())
        self.set_times()

    def files(self, name: str) -> list[Path]:
        """Return the four files of a field."""
        return [self.fields / f"{name}_{channel}.tif" for channel in Channel]

    def planes_of(self, files: tuple[FileState, ...]) -> npt.NDArray[np.uint8]:
        """Return the planes that lay in files when they had these stamps."""
        return np.stack([planes()[content] for content in self._contents(files)])

    def is_wrong(self, answer: Prediction, *, model: str, since: int) -> str | None:
        """Say what is wrong with a prediction: it has to be that of its files as they were when they were read.

        Parameters
        ----------
        answer : Prediction
            The answer.
        model : str
            SHA-256 of the model that is said to have answered.
        since : int
            The moment since which the files may have been read.
        """
        if {file.path for file in answer.files} != set(map(str, self.files(answer.id))):
            return f"{answer.id} was read from {answer.files}"
        with self._lock:
            return self._what_is_wrong(answer, model, since)

    def _what_is_wrong(self, answer: Prediction, model: str, since: int) -> str | None:
        for file in answer.files:
            state = self._states[file.path].get(file.stamp)
            if state is None:
                return f"{file} never was"
            if state.last is not None and state.last < since:
                return f"{file} was no more at {since}"
        expected = _expected(model, tuple(self._contents(answer.files)))
        if not np.allclose(answer.probabilities, expected, atol=1e-6):
            return f"{answer.id} has the probabilities of other planes or another model"
        return None

    # What is done to files.

    @contextmanager
    def disturbed(self, share: float) -> Iterator[None]:
        """Do anything in the block right before and after planes are read, on the threads that read them.

        Parameters
        ----------
        share : float
            Of how many looks at a plane, 0 to 1.
        """

        def disturbing(read: Callable[..., Any]) -> Callable[..., Any]:
            def read_disturbed(*arguments: Any, **options: Any) -> Any:
                self._disturb(share)
                try:
                    return read(*arguments, **options)
                finally:
                    self._disturb(share)

            return read_disturbed

        with (
            patch("hpa_sdk.fields.reading.read_picture", disturbing(read_picture)),
            patch("hpa_sdk.fields.tiff_stack.decode", disturbing(decode)),
        ):
            yield

    def _disturb(self, share: float) -> None:
        with self._lock:
            if self.random.random() < share:
                self.do_anything()

    def do_anything(self) -> str:
        """Do one random thing, and say what."""
        with self._lock:
            return self._do_anything()

    def do(self, deed: str) -> None:
        """Do one of `DEEDS`."""
        with self._lock:
            getattr(self, deed)()

    def _do_anything(self) -> str:
        (deed,) = self.random.choices(list(DEEDS), list(DEEDS.values()))
        self.do(deed)
        return deed

    def replace_plane(self) -> None:
        """Let another file take the place of one."""
        self._replace(self._any_file(), self._any_content())

    def rewrite_plane(self) -> None:
        """Write a file again in its place."""
        self._write(self._any_file(), self._any_content())

    def replace_field(self) -> None:
        """Replace all files of a field."""
        for file in self.files(self._any_name()):
            self._replace(file, self._any_content())

    def swap_fields(self) -> None:
        """Swap two fields by renaming: sizes and times of change stay."""
        one, other = self._any_name(), self._any_name()
        if one != other:
            for pair in zip(self.files(one), self.files(other), strict=True):
                self._swap(*pair)

    def swap_planes(self) -> None:
        """Swap two files by renaming."""
        one, other = self._any_file(), self._any_file()
        if one != other:
            self._swap(one, other)

    def remove_plane(self) -> None:
        """Remove a file."""
        file = self._any_file()
        file.unlink(missing_ok=True)
        self._gone(file)

    def restore_planes(self) -> None:
        """Write what is missing."""
        for name in self.names:
            for file in self.files(name):
                if not file.exists():
                    self._replace(file, self._any_content())

    def set_times(self) -> None:
        """Set the times of change of all files to one moment."""
        for file in (file for name in self.names for file in self.files(name)):
            if file.exists():
                os.utime(file, ns=(10**18, 10**18))
                self._note(file, self._current[str(file)].content)

    def change_model(self) -> None:
        """Replace, rewrite, damage or remove the model file."""
        self.moment += 1
        content = model_bytes(self.random.randrange(MODELS))
        how = self.random.randrange(4)
        if how == 0:
            self.model.unlink(missing_ok=True)
        elif how == 1:
            self.model.write_bytes(content)
        else:
            aside = self.aside / "model.onnx"
            aside.write_bytes(content if how == 2 else content[:1000])
            aside.replace(self.model)

    def bring_back_model(self) -> None:
        """Make sure that there is a model."""
        self.moment += 1
        self.model.write_bytes(model_bytes(self.random.randrange(MODELS)))

    def _any_name(self) -> str:
        return self.random.choice(self.names)

    def _any_file(self) -> Path:
        return self.random.choice(self.files(self._any_name()))

    def _any_content(self) -> int:
        return self.random.randrange(CONTENTS)

    def _replace(self, file: Path, content: int) -> None:
        aside = self.aside / file.name
        aside.write_bytes(file_bytes(content))
        aside.replace(file)
        self._note(file, content)

    def _write(self, file: Path, content: int) -> None:
        file.write_bytes(file_bytes(content))
        self._note(file, content)

    def _swap(self, one: Path, other: Path) -> None:
        if not (one.exists() and other.exists()):
            return
        contents = self._current[str(one)].content, self._current[str(other)].content
        aside = self.aside / "swap"
        one.rename(aside)
        other.rename(one)
        aside.rename(other)
        self._note(one, contents[1])
        self._note(other, contents[0])

    def _note(self, file: Path, content: int) -> None:
        self._gone(file)
        self._current[str(file)] = self._states.setdefault(str(file), {})[stamp_of(file)] = _State(content)

    def _gone(self, file: Path) -> None:
        self.moment += 1
        if str(file) in self._current:
            self._current[str(file)].last = self.moment
        self.moment += 1

    def _contents(self, files: tuple[FileState, ...]) -> list[int]:
        """Return what lay in the files of a field, which come in any order, in that of the channels."""
        contents = {file.path.rpartition("_")[2]: self._states[file.path][file.stamp].content for file in files}
        return [contents[f"{channel}.tif"] for channel in Channel]
