"""The main interface: loads a model file as a predictor, which turns paths into predictions."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import count
from typing import Literal, NoReturn, Self, overload

import numpy as np

from hpa_sdk.cells.predict import predict_cells
from hpa_sdk.errors import HpaError, SettingError
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.sources import FoundField, Source, find_fields
from hpa_sdk.fields.trained_scale import rules_for, stack_rules_of
from hpa_sdk.inference.decision import Decision, check_threshold
from hpa_sdk.inference.ensemble import Models, OpenModel, Views, check_views, open_models, run_members
from hpa_sdk.inference.pipeline import run_in_batches
from hpa_sdk.inference.prepared_field import PreparedField, prepare
from hpa_sdk.inference.session import SessionSettings
from hpa_sdk.inference.threads import ThreadPlan
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure, Prediction, all_predicted, warn_of_shared_ids
from hpa_sdk.preprocessing import Planes, White
from hpa_sdk.quality.reference import Reference, as_reference


class Predictor:
    """Predicts in which organelles a protein is located. Made by `Predictor.load`.

    Attributes
    ----------
    card : ModelCard
        The metadata of the model; of several, of the first.
    thresholds : numpy.ndarray
        float32, one for each class: from this probability on, a class is in the label set.
    session : Session
        The session that runs the model; of several, the first.
    model : ModelIdentity
        Identifies the model: the path that it was read from, and its SHA-256; of several, the first.
    others : tuple of (ModelIdentity, ModelCard)
        The further models of an ensemble.
    views : int
        How many views of each field the probabilities are the mean of.
    white : White or None
        White level of 16-bit planes.
    runtime_options : mapping of str to str
        Options of the device's runtime.
    quality : bool
        Whether the quality of fields is measured.
    given_reference : Reference or None
        The reference that was given in place of that of the card.
    calibrated : bool
        Whether probabilities are calibrated by the card's temperature.
    """

    def __init__(
        self,
        models: Sequence[OpenModel],
        decision: Decision,
        *,
        threshold: float | Literal["card"],
        white: White | None,
        runtime_options: Mapping[str, str],
        quality: bool = True,
    ) -> None:
        first, *others = self._models = tuple(models)
        self.card, self.model, self.session = first.card, first.identity, first.session
        self.others = tuple((other.identity, other.card) for other in others)
        self.thresholds = decision.thresholds
        self.views = decision.views
        self.calibrated = decision.temperatures is not None
        self._decision = decision
        self._given_threshold = threshold
        self.white = white
        self.quality, self.given_reference = quality, first.given_reference
        self.runtime_options: Mapping[str, str] = dict(runtime_options)

    @classmethod
    def load(
        cls,
        model: Models,
        *,
        device: str = "auto",
        threshold: float | Literal["card"] = "card",
        white: White | None = None,
        batch_size: int | None = None,
        threads: int | None = None,
        gpu_memory: float | None = None,
        runtime_options: Mapping[str, str] | None = None,
        card: ModelCard | str | os.PathLike[str] | None = None,
        verify: bool = False,
        sha256: str | Sequence[str] | None = None,
        quality: bool = True,
        reference: Reference | str | os.PathLike[str] | None = None,
        calibrated: bool = False,
        views: Views = 1,
    ) -> Predictor:
        """Open a model file, or several whose answers are averaged.

        A file is read once. A later change of the file changes no prediction, and `Predictor.model` identifies the
        bytes in use. If the card says what the model must not be used for, this is logged once.

        Parameters
        ----------
        model : str, os.PathLike or sequence of them
            An ONNX file made by ``python -m export onnx``, or a package made by ``python -m export bioimageio``; or the
            name of a model in a catalogue, which is fetched if it is not here. Several make an ensemble: the mean of
            their log-odds. They must have the same classes, channels, unit and scale of training.
        device : str
            ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"tensorrt"`` or ``"openvino"``. ``"auto"`` takes the
            best device that really works, and logs once why the better ones do not.
        threshold : float or "card"
            One probability for all classes, or the card's own thresholds; of several cards, their mean in log-odds.
        white : optional
            The intensity of 16-bit planes that counts as 1: 4095, four numbers, ``"dtype"`` or ``"percentile"``. For a
            model that does the preprocessing itself, 16-bit planes are rounded to 8 bits per pixel.
        batch_size : int, optional
            Fields per run. Default: depends on the device.
        threads : int, optional
            Number of cores for reading and running together. Default: all that this process may use.
        gpu_memory : float, optional
            GiB of GPU memory that the model may use. See `SessionSettings`.
        runtime_options : mapping of str to str, optional
            Options of the device's runtime, by its own names, such as ``{"prefer_nhwc": "1"}``. They override ours.
        card : ModelCard, str or os.PathLike, optional
            For a file that has no card: the card, or a TOML file with it. Of several models, for the first.
        verify : bool
            Read the whole file and refuse one that was changed after its export, or that has no SHA-256. The checksum
            detects damage and accidental edits. It does not protect against deliberate forgery.
        sha256 : str or sequence of str, optional
            The SHA-256 that the file must have, in hexadecimal, for example if many computers must use the same model;
            of several models, one for each.
        quality : bool
            Whether to measure the quality of each field, for `Prediction.quality` and `Prediction.warnings`. It changes
            no probability.
        reference : Reference, str or os.PathLike, optional
            What fields should look like, or a file with it that ``hpa reference`` wrote. Default: that of the card; of
            several models, of the first. `cells` uses only its limits, and refuses it if it can't.
        calibrated : bool
            Whether to apply the card's temperature to the probabilities, by which they agree better with observed
            frequencies, and to the card's thresholds, so that the labels stay the same. A `threshold` that is given
            counts for the calibrated probabilities.
        views : int
            8: run each model on the four rotations of a field and on their mirror images, and average the log-odds. 4:
            only on the rotations. The time that the model takes grows as many times.

        Raises
        ------
        ModelFileError
            The file is missing, not an ONNX model, not of this contract, not as exported, or has another SHA-256; or
            no model has this name.
        CatalogueError, DownloadError, OutputError
            The model is named in a catalogue, but can't be fetched.
        ModelCardError
            The file has no card and none is given, or the card can't be used.
        DeviceError
            The device is not available, or onnxruntime is not installed.
        SettingError
            A number is out of range, the batch does not fit in memory, or a reference would not be used.
        """
        check_threshold(threshold)  # before hundreds of megabytes are read
        check_views(views)
        reference = as_reference(reference, quality=quality)
        settings = SessionSettings(
            batch_size=batch_size, threads=threads, gpu_memory=gpu_memory, options=runtime_options or {}
        )

        def decide(cards: Sequence[ModelCard]) -> Decision:
            return Decision.of(cards, threshold, calibrated=calibrated, views=views)

        models, decision = open_models(
            model, device, settings, decide, card=as_card(card), verify=verify, sha256=sha256, reference=reference
        )
        options = settings.options
        return cls(models, decision, threshold=threshold, white=white, runtime_options=options, quality=quality)

    def __repr__(self) -> str:
        settings = f"device={self.device!r}, precision={self.card.precision!r}, threshold={self._threshold()!r}"
        settings += f", models={len(self._models)}" * (len(self._models) > 1) + f", views={self.views}" * (
            self.views > 1
        )
        return f"Predictor({str(self.model.path or 'a model in memory')!r}, {settings}, white={self.white!r})"

    def _threshold(self) -> float | str:
        if np.array_equal(self.thresholds, np.asarray(self.card.thresholds, np.float32)):
            return "card"
        smallest, largest = self.thresholds.min(), self.thresholds.max()
        return float(str(smallest)) if smallest == largest else "one for each class"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the runs in progress and free the models; a later prediction raises a `SettingError`."""
        for model in self._models:
            model.session.close()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a session belongs to its process, and a copy of its bytes would not be a session."""
        raise SettingError(
            "a predictor can't be pickled or copied: its session belongs to this process",
            where=self.model.path,
            remedy="Give each worker the path and the options, and let it open its own:"
            " Predictor.load(path, sha256=predictor.model.sha256).",
        )

    @property
    def device(self) -> str:
        """The device in use, as the runtime reports it: ``"cpu"``, ``"cuda:1"``, ...; of several, joined by "+"."""
        return "+".join(dict.fromkeys(str(model.session.device) for model in self._models))

    @property
    def providers(self) -> tuple[str, ...]:
        """Parts of the runtime in use, as it reports them: onnxruntime's providers, or OpenVINO's devices."""
        return tuple(dict.fromkeys(name for model in self._models for name in model.session.providers))

    @property
    def threads(self) -> ThreadPlan:
        """How `stream` shares the cores while it predicts many fields."""
        return ThreadPlan.for_many(self.session.device.kind, self.session.threads)

    @overload
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise"] = "raise",
        recursive: bool = False,
        rules: FieldRules | None = None,
        calibrated: bool | None = None,
    ) -> list[Prediction]: ...
    @overload
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["yield"],
        recursive: bool = False,
        rules: FieldRules | None = None,
        calibrated: bool | None = None,
    ) -> list[Prediction | Failure]: ...
    def predict(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "raise",
        recursive: bool = False,
        rules: FieldRules | None = None,
        calibrated: bool | None = None,
    ) -> list[Prediction] | list[Prediction | Failure]:
        """Predict fields and return all answers in the order of the sources.

        Parameters
        ----------
        sources : Source or iterable of Source
            One or several. A folder or table stands for all its samples. If fields of several folders have the same id,
            a warning says so, and ``Prediction.files`` tells them apart.
        on_error : str
            ``"raise"``: if some fields failed, raise an error that holds all answers, after all were tried.
            ``"yield"``: return a `Failure` in place of each field that failed.
        recursive : bool
            Also search the folders below a folder.
        rules : FieldRules, optional
            How stacks are read: channel names, z, pixel size.
        calibrated : bool, optional
            As for `load`, for this call only.

        Raises
        ------
        PredictionError
            Some fields failed and `on_error` is ``"raise"``. Its ``answers`` hold all answers.
        DeviceError
            The device failed while running.
        """
        answers = list(self.stream(sources, recursive=recursive, rules=rules, calibrated=calibrated))
        warn_of_shared_ids(answers)
        return answers if on_error == "yield" else all_predicted(answers)

    def stream(
        self,
        sources: Source | Iterable[Source],
        *,
        on_error: Literal["raise", "yield"] = "yield",
        recursive: bool = False,
        root: str | os.PathLike[str] | None = None,
        rules: FieldRules | None = None,
        calibrated: bool | None = None,
    ) -> Generator[Prediction | Failure]:
        """Predict fields lazily, in the order of the sources, with bounded memory.

        Threads read files a few fields ahead of the device. On a CPU each core reads and runs its own field. If the
        model does the preprocessing, the fields of a batch that have the same size run together.

        Parameters
        ----------
        sources : Source or iterable of Source
            As for `predict`, without the warning. An endless iterator works too.
        on_error : str
            ``"yield"``: a field that failed is a `Failure` among the answers. ``"raise"``: a failure ends the stream.
        recursive : bool
            Also search the folders below a folder.
        root : str or os.PathLike, optional
            Folder that contains the planes of a table's ids. Default: as for `find_samples`.
        rules : FieldRules, optional
            How stacks are read: channel names, z, pixel size.
        calibrated : bool, optional
            As for `load`, for this call only.

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
        batches, decision = count(), self._decision_for(calibrated=calibrated)
        answers = run_in_batches(
            find_fields(
                sources,
                recursive=recursive,
                root=root,
                rules=rules_for(self.card, rules, self.white),
                stack_rules=stack_rules_of(self.card),
            ),
            prepare=self._prepare,
            run=lambda prepared: self._run(prepared, next(batches), decision),
            batch_size=self.session.batch_size,
            workers=self.threads.workers,
            parallel_runs=self.threads.parallel_runs,
        )
        # Closed explicitly: the traceback of a raised error would keep the generator, and so its threads, alive.
        with closing(answers):
            for answer in answers:
                if on_error == "raise" and isinstance(answer, Failure):
                    raise answer.error
                yield answer

    cells = predict_cells

    def predict_planes(
        self, planes: Planes | Sequence[Planes], *, white: White | None = None, calibrated: bool | None = None
    ) -> list[Prediction]:
        """Predict planes that are in memory, for example from a camera.

        Parameters
        ----------
        planes : numpy.ndarray or sequence of numpy.ndarray
            uint8 or uint16 of shape (N, 4, H, W), or N arrays of shape (4, H, W), in the order red, green, blue,
            yellow; or only the channels of the card, in its order.
        white, calibrated : optional
            As for `load`, for this call only.

        Returns
        -------
        list of Prediction
            With the ids ``"0"``, ``"1"``, ...

        Raises
        ------
        PlaneError
            An array does not have this form, or is 16-bit and no white level is known.
        PredictionError
            The model returned values that are not probabilities for some fields.
        """
        chosen = self.white if white is None else white
        fields = [FoundField(str(at), field) for at, field in enumerate(planes)]
        ready = [prepare(field, self._decision.cards, chosen, quality=self.quality) for field in fields]
        return all_predicted(self._run(ready, None, self._decision_for(calibrated=calibrated)))

    def _decision_for(self, *, calibrated: bool | None) -> Decision:
        if calibrated is None or calibrated == self.calibrated:
            return self._decision
        return Decision.of(self._decision.cards, self._given_threshold, calibrated=calibrated, views=self.views)

    def _prepare(self, item: FoundField | Failure) -> PreparedField | Failure:
        if isinstance(item, Failure):
            return item
        try:
            return prepare(item, self._decision.cards, self.white, quality=self.quality)
        except HpaError as error:
            return Failure(item.id, error)

    def _run(
        self, prepared: list[PreparedField], turn: int | None, decision: Decision | None = None
    ) -> list[Prediction | Failure]:
        members, chosen = run_members(self._models, self.views, prepared, turn), decision or self._decision
        return [chosen.answer(asked, *scores) for asked, scores in zip(prepared, members, strict=True)]
