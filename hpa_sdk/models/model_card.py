"""Defines the model card, the metadata of a model, and reads and writes it as the JSON inside the model file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import msgspec

from hpa_sdk.errors import ModelCardError
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.models.adaptation import Adaptation
from hpa_sdk.models.known_data import KnownData, split_hashes
from hpa_sdk.models.network_form import CellCrop, Tensors, Unit, check_form, check_unit
from hpa_sdk.models.variant import Variant
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.quality.reference import Reference

METADATA_KEY = "hpa_model_card"
"""Key of the card in the ONNX file's ``metadata_props``."""

SCHEMA_MAJORS = (1, 2)
"""The card's major schema versions that this package reads. A minor version may add fields, but never change one.

A card that version 1 can express is written as version 1, so that earlier readers open it.
"""

NOT_STATED = "not stated"
"""What a card says of a fact that nobody gave."""

STUDY_THRESHOLD = 0.2
"""The threshold in the final comparison of the study: from this probability on, a class counts as present."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """Origin of the weights; for a network from elsewhere, as far as it is known.

    Attributes
    ----------
    recipe : str
        Name of the recipe, such as ``"study"``.
    backend : str
        Keras backend that fitted the weights.
    versions : dict of str to str
        Versions of Python and the packages that took part.
    seed : int or None
        Seed of the run.
    steps : int or None
        Optimizer steps in all stages.
    fields_seen : int or None
        Field presentations in all stages: steps times batch size.
    initial_weights : str
        ``"imagenet"``, ``"none"``, the name of a file, or name and SHA-256 of an exported model.
    data : str
        Name of the training data.
    data_fingerprint : str
        SHA-256, in hexadecimal, of the label table and the sizes of its planes.
    code_revision : str
        Git revision of the training code, or ``"unknown"``.
    pixel_size : float or None
        Micrometres per pixel of the planes; None if it is not known.
    field_side : int or None
        Height and width in pixels of the planes to which `pixel_size` applies.
    """

    recipe: str = NOT_STATED
    backend: str = NOT_STATED
    versions: dict[str, str] = field(default_factory=dict)
    seed: int | None = None
    steps: int | None = None
    fields_seen: int | None = None
    initial_weights: str = NOT_STATED
    data: str = NOT_STATED
    data_fingerprint: str = NOT_STATED
    code_revision: str = NOT_STATED
    pixel_size: float | None = None
    field_side: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """Performance of the network on held-out data, at the card's thresholds.

    Attributes
    ----------
    data : str
        Name of the data and of the subset.
    fields : int
        Number of fields.
    micro_f1, macro_f1 : float
        F1 over all decisions, and the mean of `class_f1` over the classes that occur in the data.
    class_f1 : tuple of float or None
        F1 of each class; None if the class does not occur.
    support : tuple of int
        Number of fields that have each class.
    """

    data: str
    fields: int
    micro_f1: float
    macro_f1: float
    class_f1: tuple[float | None, ...]
    support: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How much the probabilities differ from observed frequencies, and the temperature that reduces this.

    The calibrated probability is sigmoid(logit(probability) / temperature). It changes neither the model's output
    `probabilities` nor the card's thresholds.

    Attributes
    ----------
    temperature : float
        Above 0. More than 1 if the network is overconfident.
    fields : int
        Number of fields for the fit.
    error_before, error_after : float
        Expected calibration error on these fields, 0 to 1, at temperature 1 and at `temperature`.
    """

    temperature: float
    fields: int
    error_before: float
    error_after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How much the exported file differs from the original network.

    Attributes
    ----------
    samples : int
        Number of fields that both predicted.
    max_difference, mean_difference : float
        Absolute difference of the probabilities.
    same_label_sets : float
        Fraction of the fields with the same label set, 0 to 1.
    """

    samples: int
    max_difference: float
    mean_difference: float
    same_label_sets: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """All metadata of a model.

    Attributes
    ----------
    name, architecture : str
        Name of the model, and the network, such as ``"inception_resnet_v2"``.
    training : Training
        Origin of the weights.
    created : str
        Time of the fit or export, ISO 8601 in UTC.
    labels : tuple of str
        The names of the classes, in the order of the outputs.
    thresholds : tuple of float
        For each class, the probability from which it counts as present, 0 to 1.
    preprocessing : Preprocessing
        How planes become the network's input.
    precision : str
        ``"fp32"``, ``"fp16"`` or ``"int8"``.
    metrics : Metrics, optional
        Performance of the network on held-out fields.
    calibration : Calibration, optional
        How much its probabilities differ from observed frequencies.
    parity : Parity, optional
        How much the file, or its fp32 parent, differs from the original network.
    variant : Variant, optional
        How much a variant differs from its fp32 parent.
    weights_sha256 : str
        SHA-256, in hexadecimal, of the serialized graph with its weights; empty until exported.
    licence, citation : str
        Terms of use, and what to cite.
    schema_version : str
        ``major.minor``.
    scheme : str
        Name of the label scheme: see `hpa_sdk.labels.SCHEMES`.
    tensors : Tensors
        The file's input and outputs.
    unit : str
        What the network answers for: ``"field"``; ``"cell"``, a crop of one cell; or ``"pixel"``, maps by which cells
        are found: see `hpa_sdk.models.network_form.MAPS`.
    cell : CellCrop, optional
        How the crop of a cell is made, if `unit` is ``"cell"``.
    warning : str
        What the model must not be used for; empty if nothing is stated.
    reference : Reference, optional
        What fields look like for which the model can be trusted.
    adaptation : Adaptation, optional
        How the file was adapted to the fields of one lab.
    known_data : KnownData, optional
        What the network knows beside the data of its fit and of its adaptation.
    """

    name: str
    architecture: str
    training: Training = field(default_factory=Training)
    created: str = NOT_STATED
    labels: tuple[str, ...] = HPA_2018.names
    thresholds: tuple[float, ...] = (STUDY_THRESHOLD,) * len(HPA_2018)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    metrics: Metrics | None = None
    calibration: Calibration | None = None
    parity: Parity | None = None
    variant: Variant | None = None
    weights_sha256: str = ""
    licence: str = "not stated"
    citation: str = "doi:10.1038/s41592-019-0658-6"
    schema_version: str = "1.2"
    scheme: str = HPA_2018.name
    tensors: Tensors = field(default_factory=Tensors)
    unit: Unit = "field"
    cell: CellCrop | None = None
    warning: str = ""
    reference: Reference | None = None
    adaptation: Adaptation | None = None
    known_data: KnownData | None = None

    @property
    def fitted_on(self) -> tuple[str, ...]:
        """Fingerprints of the data of its fit: of all of it, and of each table if there are several."""
        whole = self.training.data_fingerprint
        return (*(() if whole == NOT_STATED else (whole,)), *(self.known_data.tables if self.known_data else ()))

    @property
    def known_fields(self) -> frozenset[bytes]:
        """Hashes of the fields that it, and the models of which it was made, were adapted to."""
        known = (self.adaptation, self.known_data)
        return split_hashes(*(one.field_hashes for one in known if one is not None))

    @property
    def label_scheme(self) -> LabelScheme:
        """The classes that the network answers with."""
        return LabelScheme(self.scheme, self.labels)

    @property
    def network_id(self) -> str:
        """Identifies the fit of the network, in hexadecimal: its variants and what is adapted from it have the same."""
        made = self.training
        # Named one by one, so that it stays the same when cards get another field, or a pixel size is corrected.
        fit = (made.recipe, made.backend, made.seed, made.steps, made.fields_seen, made.initial_weights)
        content = (self.architecture, *fit, made.data_fingerprint, made.code_revision)
        return hashlib.sha256(msgspec.json.encode(content)).hexdigest()

    @property
    def input_name(self) -> str:
        """Name of the file's input."""
        return PLANES_INPUT if self.preprocessing.place == "graph" else self.tensors.input

    @property
    def winograd(self) -> bool:
        """Whether the file computes in fp32 with fewer multiplications, which is faster only in onnxruntime on CPUs."""
        return self.variant is not None and self.variant.kind == "winograd"

    @property
    def computation(self) -> str:
        """The precision as text, with the algorithm if it is not the usual one."""
        return f"{self.precision} by Winograd's way" if self.winograd else self.precision

    def to_json(self) -> str:
        """Write the card as JSON text with two spaces of indentation."""
        content = msgspec.to_builtins(self)
        # Without what version 1 does not have, so that its cards stay the same bytes.
        version_2 = [_drop_defaults(content["preprocessing"], self.preprocessing, _PREPROCESSING_2)]
        version_2.append(_drop_defaults(content, self, _CARD_2))
        version = "2.0" if any(version_2) or _beyond_version_1(self) else self.schema_version
        if not _drop_defaults(content, self, ("adaptation", "known_data")):
            content["schema_version"] = version
        else:
            content["schema_version"] = "2.1" if version.startswith("2") else "1.3"
        return msgspec.json.format(msgspec.json.encode(content), indent=2).decode()

    @classmethod
    def from_json(cls, text: str | bytes, *, where: str | None = None) -> ModelCard:
        """Parse a card.

        Parameters
        ----------
        text : str or bytes
            The JSON. Unknown fields are ignored.
        where : str, optional
            Name of the file it comes from, for messages.

        Raises
        ------
        ModelCardError
            The text is not a card, its major schema version is unknown, its labels are not those of its scheme, or it
            does not have one threshold between 0 and 1 for each of them.
        """
        try:
            version = msgspec.json.decode(text, type=_Version).schema_version
            if version.partition(".")[0] not in map(str, SCHEMA_MAJORS):
                raise ModelCardError(
                    f"the model card has schema version {version}; this version of hpa_sdk reads"
                    f" {' and '.join(f'{major}.x' for major in SCHEMA_MAJORS)}",
                    where=where,
                    remedy="Use the hpa_sdk that the model was made for, or export the model again.",
                )
            card = msgspec.json.decode(text, type=cls)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ModelCardError(
                f"the model card can't be read ({error})", where=where, remedy=_EXPORT_AGAIN
            ) from error
        card.check(where)
        return card

    def check(self, where: str | None = None) -> None:
        """Check what the types can't express: labels, thresholds, metrics and preprocessing.

        Raises
        ------
        ModelCardError
            As for `from_json`.
        """
        self.label_scheme.check(where)
        expected = self.labels
        if len(self.thresholds) != len(expected) or not all(0 <= threshold <= 1 for threshold in self.thresholds):
            raise ModelCardError(
                f"the model card needs {len(expected)} thresholds between 0 and 1", where=where, remedy=_EXPORT_AGAIN
            )
        check_form(self.preprocessing, self.tensors, where)
        check_unit(self.unit, self.cell, self.labels, self.tensors, where)
        if self.calibration is not None and self.calibration.temperature <= 0:
            raise ModelCardError(
                "the model card's calibration has no positive temperature", where=where, remedy=_EXPORT_AGAIN
            )
        scale = self.training.pixel_size, self.training.field_side
        if scale != (None, None) and not all(number is not None and number > 0 for number in scale):
            raise ModelCardError(
                "the model card's pixel size and field side are not both above 0", where=where, remedy=_EXPORT_AGAIN
            )
        problem = self.reference and self.reference.problem()
        if problem is not None:
            raise ModelCardError(
                f"the model card's reference can't be used: {problem}",
                where=where,
                remedy="Make it again with 'hpa reference'.",
            )
        lengths = () if self.metrics is None else (len(self.metrics.class_f1), len(self.metrics.support))
        if any(length != len(expected) for length in lengths):
            raise ModelCardError(
                f"the model card's metrics are not of {len(expected)} classes", where=where, remedy=_EXPORT_AGAIN
            )


PLANES_INPUT = "planes"
"""Name of the input of a model that does the preprocessing itself."""

_CARD_2 = ("scheme", "tensors", "unit", "cell", "warning", "reference")
_PREPROCESSING_2 = ("layout", "mean", "deviation", "normalization")


def _drop_defaults(content: dict[str, Any], value: ModelCard | Preprocessing, names: tuple[str, ...]) -> bool:
    """Remove entries that have their default value. Return whether others are left."""
    default = ModelCard(name="", architecture="") if isinstance(value, ModelCard) else Preprocessing()
    for name in names:
        if getattr(value, name) == getattr(default, name):
            del content[name]
    return any(name in content for name in names)


def _beyond_version_1(card: ModelCard) -> bool:
    """Whether a value is of a type that version 1 does not have."""
    form, study = card.preprocessing, Preprocessing()
    unknown = any(getattr(card.training, part.name) is None for part in fields(Training)[:-2])
    return unknown or form.size is None or form.channels != study.channels or len(form.blend) != len(study.blend)


class _Version(msgspec.Struct):
    schema_version: str


_EXPORT_AGAIN = "Export the model again with python -m export onnx."
