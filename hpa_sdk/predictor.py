"""The way in: a model file becomes a predictor, and paths become predictions."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, overload

import numpy as np
import numpy.typing as npt

from hpa_sdk.contract import check_model
from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.labels import Label
from hpa_sdk.model_card import ModelCard
from hpa_sdk.pipeline import run_in_batches
from hpa_sdk.planes import Planes
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.preprocessing import Image, White
from hpa_sdk.session import Session, open_session
from hpa_sdk.sources import FoundField, Source, find_fields


class PredictionError(HpaError):
    """Some fields of a batch failed.

    Attributes
    ----------
    answers : list of Prediction or Failure
        What was found for every field, in the order asked.
    """

    def __init__(self, answers: list[Prediction | Failure]) -> None:
        self.answers = answers
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        super().__init__(
            f"{len(failures)} of {len(answers)} fields failed; the first, {failures[0].id}: {failures[0].error.what}",
            where=failures[0].error.where,
            remedy="The other answers are in this error's 'answers'; on_error='yield' returns them with the failures.",
        )

    def __reduce__(self) -> tuple[type[PredictionError], tuple[list[Prediction | Failure]]]:
        return type(self), (self.answers,)


class Predictor:
    """Says in which organelles a protein sits. Made by `Predictor.load`.

    Attributes
    ----------
    card : ModelCard
        What the model says about itself.
    thresholds : numpy.ndarray
        float32 of shape (28,): the probability from which each class counts.
    """

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        *,
        thresholds: npt.NDArray[np.float32],
        white: White | None,
        decoders: int,
    ) -> None:
        self.card = card
        self.thresholds = thresholds
        self._session = session
        self._white = white
        self._decoders = decoders

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        device: str = "auto",
        threshold: float | Literal["card"] = "card",
        white: White | None = None,
        batch_size: int | None = None,
        decoders: int | None = None,
        gpu_memory: float | None = None,
        card: ModelCard | None = None,
        verify: bool = False,
    ) -> Predictor:
        """Open a model file.

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
        decoders : int, optional
            Threads that read files. Default: one a core, four at most.
        gpu_memory : float, optional
            GiB of a graphics card's memory that the model may take; see `hpa_sdk.session.Session`.
        card : ModelCard, optional
            For a file that carries none.
        verify : bool
            Read the whole file and refuse one that was altered after it was exported, or carries no SHA-256 to tell
            that by. This finds damage and careless edits, not a forger, who can compute the SHA-256 again.

        Raises
        ------
        ModelFileError
            The file is missing, no ONNX model, not of this contract, or not as it was exported.
        ModelCardError
            The file has no card and none is given, or its card can't be used.
        DeviceError
            The device can't be had, or onnxruntime is not installed.
        SettingError
            A number is out of its range.
        """
        _check_settings(threshold, batch_size, decoders, gpu_memory)
        card = check_model(Path(model), card, verify=verify)
        return cls(
            open_session(Path(model), device, batch_size=batch_size, gpu_memory=gpu_memory),
            card,
            thresholds=np.asarray(card.thresholds if threshold == "card" else [threshold] * len(Label), np.float32),
            white=white,
            decoders=decoders or min(4, os.cpu_count() or 1),
        )

    @property
    def device(self) -> str:
        """The device in use, read back from the runtime: ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ..."""
        return str(self._session.device)

    @property
    def providers(self) -> tuple[str, ...]:
        """The onnxruntime providers in use, read back from the runtime."""
        return self._session.providers

    @overload
    def predict(
        self, sources: Source | Iterable[Source], *, on_error: Literal["raise"] = "raise", recursive: bool = False
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self, sources: Source | Iterable[Source], *, on_error: Literal["yield"], recursive: bool = False
    ) -> list[Prediction | Failure]: ...
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "raise",
        recursive: bool = False,
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

        Raises
        ------
        PredictionError
            Some fields failed and `on_error` is ``"raise"``. Its ``answers`` hold all that was found.
        DeviceError
            The device failed while running.
        """
        answers = list(self.stream(sources, recursive=recursive))
        if on_error == "yield":
            return answers
        if any(isinstance(answer, Failure) for answer in answers):
            raise PredictionError(answers)
        return cast("list[Prediction]", answers)

    def stream(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "yield",
        recursive: bool = False,
        root: str | os.PathLike[str] | None = None,
    ) -> Iterator[Prediction | Failure]:
        """Predict fields lazily, in the order asked, with bounded memory.

        Files are read on threads, a few fields ahead of the device. Where the model does the preprocessing, the fields
        of a batch that have the same size run together.

        Parameters
        ----------
        sources : Source or iterable of Source
            As for `predict`; an endless iterator serves too.
        on_error : str
            ``"yield"``: a field that failed is a `Failure` among the answers. ``"raise"``: it ends the stream.
        recursive : bool
            Search the folders below a folder too.
        root : str or os.PathLike, optional
            Folder in which the ids of a table are looked for. Default: the folder of the table.

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
        answers = run_in_batches(
            find_fields(sources, recursive=recursive, root=root),
            prepare=self._prepare,
            run=self._run,
            batch_size=self._session.batch_size,
            workers=self._decoders,
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
        """
        chosen = self._white if white is None else white
        return self._run([self._ready(FoundField(str(at), field), chosen) for at, field in enumerate(planes)])

    def _prepare(self, item: FoundField | Failure) -> _Prepared | Failure:
        if isinstance(item, Failure):
            return item
        try:
            return self._ready(item, self._white)
        except HpaError as error:
            return Failure(item.id, error)

    def _ready(self, found: FoundField, white: White | None) -> _Prepared:
        field, levels = self.card.preprocessing.model_input(found.read(), white=white, where=found.where)
        return _Prepared(found.id, field, levels)

    def _run(self, prepared: list[_Prepared]) -> list[Prediction]:
        by_shape: defaultdict[tuple[int, ...], list[int]] = defaultdict(list)
        for at, item in enumerate(prepared):
            by_shape[item.field.shape].append(at)
        predictions: dict[int, Prediction] = {}
        for places in by_shape.values():
            answers = self._session.run(np.stack([prepared[at].field for at in places]))
            for at, probabilities, embedding in zip(places, *answers, strict=True):
                predictions[at] = Prediction.from_probabilities(
                    probabilities,
                    id=prepared[at].id,
                    thresholds=self.thresholds,
                    embedding=embedding,
                    white=prepared[at].white,
                )
        return [predictions[at] for at in range(len(prepared))]


def _check_settings(
    threshold: float | str, batch_size: int | None, decoders: int | None, gpu_memory: float | None
) -> None:
    if threshold != "card" and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise SettingError(f"threshold={threshold!r} is none", remedy="Give a number from 0 to 1, or 'card'.")
    for name, value in (("batch_size", batch_size), ("decoders", decoders)):
        if value is not None and value < 1:
            raise SettingError(f"{name}={value} is too small", remedy="Give 1 or more, or leave it out.")
    if gpu_memory is not None and not gpu_memory > 0:
        raise SettingError(f"gpu_memory={gpu_memory} is no memory", remedy="Give GiB above 0, or leave it out.")


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    field: Image | npt.NDArray[np.uint8]
    white: npt.NDArray[np.float32]
