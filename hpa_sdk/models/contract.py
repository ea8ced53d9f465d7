"""Checks a model file against the contract that training, export and this package share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hpa_sdk.errors import ModelCardError, ModelFileError, SettingError
from hpa_sdk.models.checksum import check_checksum, check_weights
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.models.model_names import catalogue_card
from hpa_sdk.models.onnx_file import OnnxFile, TensorForm, describe_onnx, read_onnx
from hpa_sdk.models.package_card import check_description
from hpa_sdk.models.package_description import PackageDescription, parse_description, read_description
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.quality.reference import Reference

OPSET = 18
"""Version of the standard ONNX operators in exported files."""

OPSETS = range(11, 23)
"""Versions that files from elsewhere may have."""

EMBEDDING_SIZE = 512
"""Width of the dense layer before the last in the networks of this project."""

ANY_WIDTH = "width"
"""Name of a dimension of any length."""

RUN_NETWORK, RUN_CARD, RUN_RECORD = "network.keras", "card.json", "run.json"
"""Files of a finished run folder that the export needs: the fitted network, its card, and the path of its data."""

BATCH, HEIGHT, WIDTH = "N", "H", "W"
"""Names of the open dimensions."""


def image_shape(form: Preprocessing) -> tuple[int, int, int]:
    """Return the shape of one image, for a network that takes images of one size.

    Raises
    ------
    ModelCardError
        The card leaves the size open.
    """
    if form.size is None:
        raise ModelCardError(
            "the network takes images of any size", remedy="Use a network whose card gives a size for this."
        )
    colours = len(form.blend)
    return (form.size, form.size, colours) if form.layout == "nhwc" else (colours, form.size, form.size)


def check_pictures(card: ModelCard, where: Path, *, single_cells: bool) -> None:
    """Refuse pictures that a model does not answer for: it would learn from them, or be judged on them, wrongly.

    Parameters
    ----------
    card : ModelCard
        The model card.
    where : pathlib.Path
        The model, for messages.
    single_cells : bool
        Whether the user says that each picture is of one cell. Nothing in a picture says it.

    Raises
    ------
    SettingError
        The model answers for single cells and the pictures are whole fields, or the reverse.
    """
    if card.unit == "cell" and not single_cells:
        raise SettingError(
            f"{card.name} answers for single cells, and nothing says that the pictures are of single cells: whole"
            " fields would be taken as crops of one cell",
            where=where,
            remedy="Give pictures of one cell each, cut out as the model card says, with --single-cells (in Python:"
            " single_cells=True); or name a model that answers for fields.",
        )
    if card.unit != "cell" and single_cells:
        raise SettingError(
            f"{card.name} answers for whole fields, and the pictures are said to be of single cells",
            where=where,
            remedy="Give whole fields and leave --single-cells out, or name a model that answers for single cells.",
        )


def inputs(card: ModelCard) -> dict[str, TensorForm]:
    """Return the inputs that a card requires, by name.

    An image if the host does the preprocessing, planes of any size if the graph does.
    """
    form = card.preprocessing
    if form.place == "graph":
        return {card.input_name: TensorForm("uint8", (BATCH, len(form.channels), HEIGHT, WIDTH))}
    if form.size is not None:
        return {card.input_name: TensorForm("float32", (BATCH, *image_shape(form)))}
    colours = len(form.blend)
    shape = (HEIGHT, WIDTH, colours) if form.layout == "nhwc" else (colours, HEIGHT, WIDTH)
    return {card.input_name: TensorForm("float32", (BATCH, *shape))}


def outputs(card: ModelCard) -> dict[str, TensorForm]:
    """Return the outputs that a card requires, by name, in order. The width of the embedding is open."""
    if card.unit == "pixel":  # maps can be smaller than the image
        return {card.tensors.scores: TensorForm("float32", (BATCH, ANY_WIDTH))}
    forms = {card.tensors.scores: TensorForm("float32", (BATCH, len(card.labels)))}
    if card.tensors.embedding is not None:
        forms[card.tensors.embedding] = TensorForm("float32", (BATCH, ANY_WIDTH))
    return forms


def read_model(
    model: Path | ModelContent, card: ModelCard | None = None, reference: Reference | None = None
) -> tuple[OnnxFile, ModelCard]:
    """Read the metadata of a model, and check it against the contract.

    Parameters
    ----------
    model : pathlib.Path or ModelContent
        The file, or its content.
    card : ModelCard, optional
        For a file that has no card. It is checked too, also against the description of a package.
    reference : Reference, optional
        Takes the place of that of the card.

    Raises
    ------
    ModelFileError
        The file is missing, not an ONNX model, or not of this contract; or the description of the package has no
        counterpart.
    ModelCardError
        The file has no card and none is given, or the card can't be used.
    """
    file = read_onnx(model) if isinstance(model, Path) else describe_onnx(memoryview(model.model), model.identity.where)
    foreign = card is not None and METADATA_KEY not in file.metadata
    card = card or read_card(file)
    if reference is not None:
        card = replace(card, reference=reference)
    card.check(str(file.path))
    check_contract(file, card)
    check_reference(file, card)
    description = _description(model) if foreign else None
    if description is not None:
        check_description(card, description, file)
    return file, card


def _description(model: Path | ModelContent) -> PackageDescription | None:
    if isinstance(model, Path):
        return read_description(model)
    return None if model.description is None else parse_description(model.description, model.identity.where)


def check_model(
    model: Path | ModelContent,
    card: ModelCard | None = None,
    *,
    verify: bool = False,
    reference: Reference | None = None,
) -> ModelCard:
    """Check a model completely, and return its card.

    Parameters
    ----------
    model : pathlib.Path or ModelContent
        The file, or its content.
    card : ModelCard, optional
        For a file that has no card. It is checked too.
    verify : bool
        Read the whole file and refuse one that was changed since its export. See `hpa_sdk.models.checksum`.
    reference : Reference, optional
        As for `read_model`.

    Raises
    ------
    ModelFileError
        The file is missing, not an ONNX model, not of this contract, or changed since its export.
    ModelCardError
        The file has no card and none is given, or the card can't be used.
    """
    if not verify:
        return read_model(model, card, reference)[1]
    content = ModelContent.of(model)
    # First, so that a damaged file is reported as damaged, and not by an error that the damage causes later.
    check_checksum(memoryview(content.model), content.identity.where)
    _, card = read_model(content, card, reference)
    check_weights(memoryview(content.model), card, content.identity.where)
    return card


def read_card(file: OnnxFile) -> ModelCard:
    """Read the card in a model file, or else that of the catalogue beside a fetched model.

    Raises
    ------
    ModelCardError
        The file has no card, or a card that can't be used.
    """
    text = file.metadata.get(METADATA_KEY)
    if text is None and (card := catalogue_card(file.path)) is not None:
        return card
    if text is None:
        raise ModelCardError(
            "the model carries no card",
            where=file.path,
            remedy="Export it with python -m export onnx, or describe it in a card: 'hpa card init' writes one to"
            " complete, and --card names it.",
        )
    return ModelCard.from_json(text, where=str(file.path))


def check_contract(file: OnnxFile, card: ModelCard) -> None:
    """Check that a file has the inputs and outputs that its card requires.

    The batch may be open or of a fixed length. A side of the image may be open even if the card gives a size.

    Raises
    ------
    ModelFileError
        An input or output is missing or of another form, there is an additional input, or the version of the
        standard operators is not in `OPSETS`.
    """
    if file.opset not in OPSETS:
        raise ModelFileError(
            f"the model uses version {file.opset} of the ONNX operators; {OPSETS[0]} to {OPSETS[-1]} are read",
            where=file.path,
            remedy="Convert it with onnx.version_converter, or export it again.",
        )
    for role, found, expected in (("input", file.inputs, inputs(card)), ("output", file.outputs, outputs(card))):
        more_inputs = role == "input" and set(found) != set(expected)
        for name, form in expected.items():
            if more_inputs or name not in found or not _fits(found[name], form):
                listed = ", ".join(f"{name} {form}" for name, form in found.items())
                raise ModelFileError(
                    f"the model needs the {role} {name} {form}, and has {listed}",
                    where=file.path,
                    remedy="Export it with python -m export onnx, or give the card that describes it.",
                )


def check_reference(file: OnnxFile, card: ModelCard) -> None:
    """Check that a card's reference is of embeddings like those of the file.

    Raises
    ------
    ModelCardError
        It is of embeddings of another network, or of another width, or the file gives none.
    """
    reference = card.reference
    spread = reference and reference.spread
    if not spread:
        return
    width = 0 if card.tensors.embedding is None else file.outputs[card.tensors.embedding].shape[-1]
    if isinstance(width, int) and width != spread.width:
        raise ModelCardError(
            f"the reference is of embeddings with {spread.width} numbers, and the model gives {width}",
            where=file.path,
            remedy="Make a reference with this model: 'hpa reference'.",
        )
    if reference and reference.network not in {"", card.network_id}:
        raise ModelCardError(
            "the reference was learned with another network, whose embeddings mean something else",
            where=file.path,
            remedy="Make a reference with this model: 'hpa reference'.",
        )


def _fits(found: TensorForm, expected: TensorForm) -> bool:
    if found.dtype != expected.dtype:
        return False
    if ANY_WIDTH in expected.shape:
        return len(found.shape) > 1
    return len(found.shape) == len(expected.shape) and all(
        length == required or isinstance(length, str) or required == BATCH
        for length, required in zip(found.shape, expected.shape, strict=True)
    )
