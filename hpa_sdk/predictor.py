"""The way in: a model file becomes a predictor, and paths become predictions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, overload

import numpy as np
import numpy.typing as npt

from hpa_sdk.contract import check_contract, image_shape, read_card
from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.labels import Label
from hpa_sdk.model_card import ModelCard
from hpa_sdk.onnx_file import read_onnx
from hpa_sdk.pipeline import run_in_batches
from hpa_sdk.planes import Planes, read_planes
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.preprocessing import Image, White
from hpa_sdk.samples import Sample, find_samples
from hpa_sdk.session import Session, open_session

Source = str | os.PathLike[str] | Sample | Planes
"""What can be predicted: a path in any form of `find_samples`, a sample, or an array of shape (4, H, W)."""


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
        card: ModelCard | None = None,
    ) -> Predictor:
        """Open a model file.

        Parameters
        ----------
        model : str or os.PathLike
            An ONNX file made by ``python -m export onnx``.
        device : str
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"tensorrt"`` or ``"openvino"``. ``"auto"`` takes the
            best that really works and logs, once, why it took no better one.
        threshold : float or "card"
            One probability for all classes, or the card's own thresholds.
        white : optional
            The intensity of 16-bit planes that counts as 1: 4095, four numbers, ``"dtype"`` or ``"percentile"``.
        batch_size : int, optional
            Fields a run. Default: what suits the device.
        decoders : int, optional
            Threads that read files. Default: one a core, four at most.
        card : ModelCard, optional
            For a file that carries none.

        Raises
        ------
        ModelFileError
            The file is missing, no ONNX model, or not of this contract.
        ModelCardError
            The file has no card and none is given, or its card can't be used.
        DeviceError
            The device can't be had, or onnxruntime is not installed.
        SettingError
            A number is out of its range.
        """
        _check_settings(threshold, batch_size, decoders)
        file = read_onnx(Path(model))
        card = card or read_card(file)
        card.check(str(file.path))
        check_contract(file, card)
        thresholds = np.asarray(card.thresholds if threshold == "card" else [threshold] * len(Label), np.float32)
        return cls(
            open_session(file.path, device, batch_size=batch_size, image_shape=image_shape(card.preprocessing)),
            card,
            thresholds=thresholds,
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
            One source or several; a folder or table stands for all its samples.
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

        Files are read on threads, a few fields ahead of the device.

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
            _expand(sources, recursive=recursive, root=root),
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
        return self._run([self._image(str(at), field, f"array {at}", chosen) for at, field in enumerate(planes)])

    def _prepare(self, item: _Found | Failure) -> _Prepared | Failure:
        if isinstance(item, Failure):
            return item
        try:
            if isinstance(item.source, Sample):
                return self._image(item.id, read_planes(item.source), item.source.files[0], self._white)
            return self._image(item.id, item.source, f"array {item.id}", self._white)
        except HpaError as error:
            return Failure(item.id, error)

    def _image(self, sample_id: str, planes: Planes, where: str | Path, white: White | None) -> _Prepared:
        levels = self.card.preprocessing.white_levels(planes, white=white, where=where)
        return _Prepared(sample_id, self.card.preprocessing(planes, white=levels.tolist()), levels)

    def _run(self, prepared: list[_Prepared]) -> list[Prediction]:
        if not prepared:
            return []
        probabilities, embeddings = self._session.run(np.stack([item.image for item in prepared]))
        return [
            Prediction.from_probabilities(
                probabilities[at], id=item.id, thresholds=self.thresholds, embedding=embeddings[at], white=item.white
            )
            for at, item in enumerate(prepared)
        ]


def _check_settings(threshold: float | str, batch_size: int | None, decoders: int | None) -> None:
    if threshold != "card" and not (isinstance(threshold, (int, float)) and 0 <= threshold <= 1):
        raise SettingError(f"threshold={threshold!r} is none", remedy="Give a number from 0 to 1, or 'card'.")
    for name, value in (("batch_size", batch_size), ("decoders", decoders)):
        if value is not None and value < 1:
            raise SettingError(f"{name}={value} is too small", remedy="Give 1 or more, or leave it out.")


@dataclass(frozen=True, slots=True)
class _Found:
    id: str
    source: Sample | Planes


@dataclass(frozen=True, slots=True)
class _Prepared:
    id: str
    image: Image
    white: npt.NDArray[np.float32]


_ONE_FIELD = 3  # dimensions of (4, H, W)


def _expand(
    sources: Source | Iterable[Source], *, recursive: bool, root: str | os.PathLike[str] | None
) -> Iterator[_Found | Failure]:
    if isinstance(sources, (str, os.PathLike, Sample)) or (
        isinstance(sources, np.ndarray) and sources.ndim == _ONE_FIELD
    ):
        sources = [sources]
    for position, source in enumerate(sources):
        if isinstance(source, Sample):
            yield _Found(source.id, source)
        elif isinstance(source, (str, os.PathLike)):
            try:
                for sample in find_samples(source, recursive=recursive, root=root):
                    yield _Found(sample.id, sample)
            except HpaError as error:
                yield Failure(os.fspath(source), error)
        else:
            yield _Found(str(position), source)
