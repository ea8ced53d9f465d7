"""Writes a variant of a file, with its difference from the parent on its card, if it passes the gates."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from export.errors import VariantError
from export.fields import Fields
from export.model_card import card_for, embed_card
from export.unchanged import check_unchanged, stable_stamp
from export.variants.agreement import answer, compare
from export.variants.gates import find_shortfalls
from hpa_sdk.errors import HpaError
from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.models.contract import check_pictures, read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import OnnxFile, runtime_source
from hpa_sdk.models.variant import Variant, VariantKind
from hpa_sdk.prediction import Probabilities
from hpa_sdk.preprocessing import Image

_REMEDIES: dict[VariantKind, str] = {
    "fp16": "Tune the thresholds",
    "int8": "Calibrate and judge on more fields like those the network was fitted on, tune the thresholds",
    "winograd": "Report this with the parent's card",
}

JUDGED_FIELDS = 256
"""Default for the largest number of fields that a variant is judged on."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The fp32 file that variants are made from.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    card : ModelCard
        Its card.
    file : OnnxFile
        Its metadata.
    stamp : FileStamp, optional
        Its stamp before its card was read.
    """

    path: Path
    card: ModelCard
    file: OnnxFile
    stamp: FileStamp | None = None

    def inputs_of(self, image: Image) -> dict[str, Image]:
        """Return the inputs of a run for one image, repeated if the file has a fixed batch."""
        batch = self.file.inputs[self.card.input_name].shape[0]
        count = batch if isinstance(batch, int) else 1
        return {self.card.input_name: np.repeat(image[np.newaxis], count, axis=0)}


@contextlib.contextmanager
def raise_as_variant_errors(parent: Path) -> Iterator[None]:
    """Turn the errors of onnx and onnxruntime during a conversion into errors of this package."""
    try:
        yield
    except (HpaError, OSError):
        raise
    except Exception as error:  # their checks raise plain ValueError, RuntimeError and classes without a common base
        raise VariantError(
            f"the model can't be converted ({error})", where=parent, remedy="Use the versions in constraints.txt."
        ) from error


def refuse_package(model: Path) -> None:
    """Refuse a bioimage.io package: no other file can be made from it.

    Raises
    ------
    VariantError
        The file is a package.
    """
    if isinstance(runtime_source(model), bytes):
        raise VariantError("this is a package", where=model, remedy="Unpack it and name its .onnx file.")


def refuse_overwriting(model: Path, out: Path) -> None:
    """Refuse to overwrite the file that the new one is made from.

    Raises
    ------
    VariantError
        Both paths are the same file.
    """
    if out.exists() and out.samefile(model):
        raise VariantError(
            "the file to write is the model itself", where=out, remedy="Name another file with -o, and keep both."
        )


def read_parent(path: Path, out: Path, *, single_cells: bool = False) -> Parent:
    """Read the parent of a variant.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    out : pathlib.Path
        Where the variant will be written.
    single_cells : bool
        Whether each picture that the variant is made or judged by is of one cell.

    Raises
    ------
    SettingError
        The pictures are not what the model answers for.
    VariantError
        The file is a variant itself, a package, does the preprocessing in its graph, or is the one to be written.
    ModelFileError, ModelCardError
        The file is not a model of the contract.
    """
    stamp = stable_stamp(path)
    file, card = read_model(path)
    check_pictures(card, path, single_cells=single_cells)
    refuse_package(path)
    refuse_overwriting(path, out)
    if card.precision != "fp32" or card.variant is not None:
        raise VariantError(
            f"the model is a variant itself ({card.computation})",
            where=path,
            remedy="Name the fp32 file that it was made of.",
        )
    if card.preprocessing.place == "graph":
        raise VariantError(
            "the model does the preprocessing in its graph, and variants are made of files that take images",
            where=path,
            remedy="Make the variant of the file that takes images, then put the preprocessing in front of it:"
            " python -m export raw-planes.",
        )
    return Parent(path, card, file, stamp)


def write_variant(
    model: onnx.ModelProto,
    kind: VariantKind,
    parent: Parent,
    judged: Fields,
    *,
    expected: Probabilities,
    settings: Mapping[str, str],
    force: bool,
    partial: Path,
) -> ModelCard:
    """Compare a variant with its parent, and write it with the result on its card.

    Parameters
    ----------
    model : onnx.ModelProto
        The variant; a card is added to it.
    kind : str
        ``"fp16"``, ``"int8"`` or ``"winograd"``, which computes in fp32 too.
    parent : Parent
        The file that it was made from.
    judged : Fields
        The fields to compare on; none of them was used to make the variant.
    expected : numpy.ndarray
        The parent's probabilities for these fields.
    settings : mapping of str to str
        The settings chosen for it, with the measurements behind the choice.
    force : bool
        Write it even if it does not pass the gates; its card then lists them.
    partial : pathlib.Path
        Path to write to, as `hpa_sdk.files.atomic_write` gives it.

    Returns
    -------
    ModelCard
        The card inside the file.

    Raises
    ------
    VariantError
        The variant does not pass a gate, and `force` is not set.
    ModelFileError
        The parent has changed since its card was read: its weights, answers and card may come from two files.
    """
    serialized = model.SerializeToString(deterministic=True)
    partial.write_bytes(serialized)
    agreement = compare(expected, answer(partial, parent.card, judged), parent.card, judged)
    # At this point everything that is needed from the parent has been read.
    check_unchanged(parent.path, parent.stamp)
    full = dict(settings) if judged.white is None else {**settings, "white level of 16-bit planes": str(judged.white)}
    variant = Variant(kind=kind, parent_sha256=parent.card.weights_sha256, settings=full, **asdict(agreement))
    card = card_for(serialized, parent.card, precision="fp32" if kind == "winograd" else kind, variant=variant)
    embedded = embed_card(model, card)
    shortfalls = find_shortfalls(kind, agreement, len(embedded) / parent.file.size)
    if shortfalls and not force:
        raise VariantError(
            f"the {kind} variant does not pass: {'; '.join(shortfalls)}",
            where=parent.path,
            remedy=f"Nothing was written. {_REMEDIES[kind]}, or use the parent; --force writes the variant anyway, and"
            " its card says so.",
        )
    if shortfalls:
        card = replace(card, variant=replace(variant, shortfalls=shortfalls))
        embedded = embed_card(model, card)
    partial.write_bytes(embedded)
    return card
