"""The way in: a model file becomes a predictor, and paths become predictions."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Literal, NoReturn, overload

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError, ModelFileError, SettingError
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.sources import FoundField, Source, find_fields
from hpa_sdk.fields.trained_scale import rules_for, trained_of
from hpa_sdk.files.file_state import FileState, escaped
from hpa_sdk.inference.device_choice import open_session
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.inference.threads import ThreadPlan
from hpa_sdk.labels import Label
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent, ModelIdentity
from hpa_sdk.prediction import Failure, Prediction, all_predicted, find_fault
from hpa_sdk.preprocessing import Image, Planes, White

_log = logging.getLogger("hpa_sdk")


class Predictor:
    """Says in which organelles a protein sits. Made by `Predictor.load`.

    Attributes
    ----------
    card : ModelCard
        What the model says about itself.
    thresholds : numpy.ndarray
        float32 of shape (28,): the probability from which each class counts.
    session : Session
        What runs the model.
    model : ModelIdentity
        Which bytes the model is: where it was read from, and its SHA-256.
    white : White or None
        White level of 16-bit planes.
    runtime_options : mapping of str to str
        Options of the device's runtime.
    """

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        *,
        model: ModelIdentity,
        thresholds: npt.NDArray[np.float32],
        white: White | None,
        runtime_options: Mapping[str, str],
    ) -> None:
        self.card = card
        self.thresholds = thresholds
        self.session = session
        self.model = model
        self.white = white
        self.runtime_options: Mapping[str, str] = dict(runtime_options)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        device: str = "auto",
        threshold: float | Literal["card"] = "card",
        white: White | None = None,
        batch_size: int | None = None,
        threads: int | None = None,
        gpu_memory: float | None = None,
        runtime_options: Mapping[str, str] | None = None,
        card: ModelCard | None = None,
        verify: bool = False,
        sha256: str | None = None,
    ) -> Predictor:
        """Open a model file.

        The file is read once. What becomes of it later changes no answer, and `Predictor.model` says which bytes
        answer.

        Parameters
        ----------
        model : str or os.PathLike
            An ONNX file made by ``python -m export onnx``, or a package made by ``python -m export bioimageio``.
        device : str
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"tensorrt"`` or ``"openvino"``. ``"auto"`` takes the
            best that really works and logs, once, why it took no better one.
        threshold : float or "card"
            One probability for all classes, or the card's own thresholds.
        white : optional
            The intensity of 16-bit planes that counts as 1: 4095, four numbers, ``"dtype"`` or ``"percentile"``. A
            model that does the preprocessing takes 8 bits a pixel, and 16-bit planes are rounded to them.
        batch_size : int, optional
            Fields a run. Default: what suits the device.
        threads : int, optional
            Cores to use, for reading and running together. Default: all that this process may use.
        gpu_memory : float, optional
            GiB of a GPU's memory that the model may take; see `SessionSettings`.
        runtime_options : mapping of str to str, optional
            Options of the device's runtime by its own names, before ours, such as ``{"prefer_nhwc": "1"}``.
        card : ModelCard, optional
            For a file that carries none.
        verify : bool
            Read the whole file and refuse one that was altered after it was exported, or carries no SHA-256 to tell
            that by. This finds damage and careless edits, not a forger, who can compute the SHA-256 again.
        sha256 : str, optional
            The SHA-256 that the file has to have, in hexadecimal, as where many computers have to use the same model.

        Raises
        ------
        ModelFileError
            The file is missing, no ONNX model, not of this contract, not as it was exported, or has another SHA-256.
        ModelCardError
            The file has no card and none is given, or its card can't be used.
        DeviceError
            The device can't be had, or onnxruntime is not installed.
        SettingError
            A number is out of its range, or the batch is larger than memory.
        """
        _check_threshold(threshold)
        content = ModelContent.read(Path(model))
        if sha256 is not None and content.identity.sha256 != sha256.lower():
            raise ModelFileError(
                f"the file has the SHA-256 {content.identity.sha256}, not {sha256}",
                where=model,
                remedy="Put the file that is meant there, or give the SHA-256 of this one.",
            )
        card = check_model(content, card, verify=verify)
        settings = SessionSettings(
            batch_size=batch_size,
            threads=threads,
            gpu_memory=gpu_memory,
            options=runtime_options or {},
            precision=card.precision,
            winograd=card.winograd,
        )
        return cls(
            open_session(content, device, settings),
            card,
            model=content.identity,
            thresholds=np.asarray(card.thresholds if threshold == "card" else [threshold] * len(Label), np.float32),
            white=white,
            runtime_options=settings.options,
        )

    def __repr__(self) -> str:
        said = {
            "device": self.device,
            "precision": self.card.precision,
            "threshold": self._threshold(),
            "white": self.white,
        }
        settings = ", ".join(f"{name}={value!r}" for name, value in said.items())
        return f"Predictor({str(self.model.path or 'a model in memory')!r}, {settings})"

    def _threshold(self) -> float | str:
        if np.array_equal(self.thresholds, np.asarray(self.card.thresholds, np.float32)):
            return "card"
        smallest, largest = self.thresholds.min(), self.thresholds.max()
        return float(str(smallest)) if smallest == largest else "one for each class"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a session belongs to its process, and a copy of its bytes would be no session."""
        raise SettingError(
            "a predictor can't be pickled or copied: its session belongs to this process",
            where=self.model.path,
            remedy="Give each worker the path and the options, and let it open its own:"
            " Predictor.load(path, sha256=predictor.model.sha256).",
        )

    @property
    def device(self) -> str:
        """The device in use, read back from the runtime: ``"cpu"``, ``"cuda:1"``, ..."""
        return str(self.session.device)

    @property
    def providers(self) -> tuple[str, ...]:
        """Parts of the runtime in use, read back from it: onnxruntime's providers, or OpenVINO's devices."""
        return self.session.providers

    @property
    def threads(self) -> ThreadPlan:
        """Who uses the cores while `stream` answers many fields."""
        return ThreadPlan.for_many(self.session.device.kind, self.session.threads)

    @overload
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise"] = "raise",
        recursive: bool = False,
        rules: FieldRules | None = None,
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["yield"],
        recursive: bool = False,
        rules: FieldRules | None = None,
    ) -> list[Prediction | Failure]: ...
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "raise",
        recursive: bool = False,
        rules: FieldRules | None = None,
    ) -> list[Prediction] | list[Prediction | Failure]:
        """Predict fields and give all answers in the order asked.

        Parameters
        ----------
        sources : Source or iterable of Source
            One or several; a folder or table stands for all its samples.
        on_error : str
            ``"raise"``: when every field has had its turn and some failed, raise an error that holds all answers.
            ``"yield"``: give a `Failure` in the place of each field that failed.
        recursive : bool
            Search the folders below a folder too.
        rules : FieldRules, optional
            How stacks are read: names of channels, z, pixel size.

        Raises
        ------
        PredictionError
            Some fields failed and `on_error` is ``"raise"``. Its ``answers`` hold all that was found.
        DeviceError
            The device failed while running.
        """
        answers = list(self.stream(sources, recursive=recursive, rules=rules))
        if on_error == "yield":
            return answers
        return all_predicted(answers)

    def stream(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "yield",
        recursive: bool = False,
        root: str | os.PathLike[str] | None = None,
        rules: FieldRules | None = None,
    ) -> Generator[Prediction | Failure]:
        """Predict fields lazily, in the order asked, with bounded memory.

        Files are read on threads, a few fields ahead of the device; on a processor each core reads and runs a field of
        its own. Where the model does the preprocessing, the fields of a batch that have the same size run together.

        Parameters
        ----------
        sources : Source or iterable of Source
            As for `predict`; an endless iterator serves too.
        on_error : str
            ``"yield"``: a field that failed is a `Failure` among the answers. ``"raise"``: it ends the stream.
        recursive : bool
            Search the folders below a folder too.
        root : str or os.PathLike, optional
            Folder in which the ids of a table are looked for. Default: as for `find_samples`.
        rules : FieldRules, optional
            How stacks are read: names of channels, z, pixel size.

        Yields
        ------
        Prediction or Failure

        Raises
        ------
        HpaError
            The first failure, if `on_error` is ``"raise"``.
        DeviceError
            The device failed while running.
        """
        batches = count()
        answers = run_in_batches(
            find_fields(
                sources,
                recursive=recursive,
                root=root,
                rules=rules_for(self.card, rules, self.white),
                trained=trained_of(self.card),
            ),
            prepare=self._prepare,
            run=lambda prepared: self._run(prepared, self.session.after(next(batches))),
            batch_size=self.session.batch_size,
            workers=self.threads.workers,
            parallel_runs=self.threads.parallel_runs,
        )
        # Closed by hand: a raised error would keep the generator, and so its threads, alive in its traceback.
        with closing(answers):
            for answer in answers:
                if on_error == "raise" and isinstance(answer, Failure):
                    raise answer.error
                yield answer

    def predict_planes(self, planes: Planes | Sequence[Planes], *, white: White | None = None) -> list[Prediction]:
        """Predict planes that are in memory, as from a camera.

        Parameters
        ----------
        planes : numpy.ndarray or sequence of numpy.ndarray
            uint8 or uint16 of shape (N, 4, H, W), or N arrays of shape (4, H, W), in the order red, green, blue,
            yellow.
        white : optional
            As for `load`, for this call.

        Returns
        -------
        list of Prediction
            With the ids ``"0"``, ``"1"``, ...

        Raises
        ------
        PlaneError
            An array is not such planes, or is 16-bit and no white level is known.
        PredictionError
            The model gave no numbers for some fields.
        """
        chosen = self.white if white is None else white
        ready = [self._ready(FoundField(str(at), field), chosen) for at, field in enumerate(planes)]
        return all_predicted(self._run(ready, self.session))

    def _prepare(self, item: FoundField | Failure) -> _Prepared | Failure:
        if isinstance(item, Failure):
            return item
        try:
            return self._ready(item, self.white)
        except HpaError as error:
            return Failure(item.id, error)

    def _ready(self, found: FoundField, white: White | None) -> _Prepared:
        read = found.read()
        for note in read.notes:
            _log_once(note)
        # Their white was taken before they were cut or framed, and is the highest value of their type now.
        white = "dtype" if read.stretched else white
        field, levels = self.card.preprocessing.model_input(read.planes, white=white, where=found.where)
        return _Prepared(found.id, field, levels, read.files, read.notes)

    def _run(self, prepared: list[_Prepared], session: Session) -> list[Prediction | Failure]:
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for at, item in enumerate(prepared):
            by_shape[item.field.shape].append(at)
        predictions: dict[int, Prediction | Failure] = {}
        for places in by_shape.values():
            answers = session.run([prepared[at].field for at in places])
            for at, probabilities, embedding in zip(places, *answers, strict=True):
                predictions[at] = self._answer(prepared[at], probabilities, embedding)
        return [predictions[at] for at in range(len(prepared))]

    def _answer(
        self, asked: _Prepared, probabilities: npt.NDArray[np.float32], embedding: npt.NDArray[np.float32]
    ) -> Prediction | Failure:
        fault = find_fault(probabilities, asked.id)
        if fault is not None:
            return Failure(asked.id, fault)
        return Prediction.from_probabilities(
            probabilities,
            id=asked.id,
            thresholds=self.thresholds,
            embedding=embedding,
            white=asked.white,
            files=asked.files,
            notes=asked.notes,
        )


@lru_cache(maxsize=256)
def _log_once(note: str) -> None:
    _log.warning("%s", escaped(note))


def _check_threshold(threshold: float | str) -> None:
    if threshold != "card" and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise SettingError(f"threshold={threshold!r} is none", remedy="Give a number from 0 to 1, or 'card'.")


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    field: Image | npt.NDArray[np.uint8]
    white: npt.NDArray[np.float32]
    files: tuple[FileState, ...]
    notes: tuple[str, ...]
