"""Exports a finished run as one ONNX file with a model card."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from export.model_card import card_for, embed_card
from export.onnx.convert import convert
from export.onnx.fitted_run import read_fitted
from export.parity import SAMPLES, measure_parity
from export.raw_planes.graph import with_raw_planes
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.contract import OPSET, check_contract
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import read_onnx
from hpa_sdk.preprocessing import White


def export_onnx(
    run: Path,
    out: Path,
    *,
    raw_planes: bool = False,
    samples: Sequence[Path] = (),
    count: int = SAMPLES,
    opset: int = OPSET,
    white: White | None = None,
) -> ModelCard:
    """Export a finished run, if its answers match the trained network's.

    Parameters
    ----------
    run : pathlib.Path
        The folder of a finished fit.
    out : pathlib.Path
        The ONNX file to write, atomically: it appears after the comparison, with its report (`parity_file`) next to
        it.
    raw_planes : bool
        Do the preprocessing in the graph: the file then takes planes of any size.
    samples : sequence of pathlib.Path
        Folders or tables of fields to compare on. Default: the data of the fit.
    count : int
        Number of fields of each to compare on.
    opset : int
        Version of the standard operators; change the contract's only for a runtime that is too old for it.
    white : optional
        White level of 16-bit planes. Default: for the fit's own data, the white level in the run's record.

    Returns
    -------
    ModelCard
        The card inside the file.

    Raises
    ------
    RunFolderError
        The run is not finished, or its network is not of this contract.
    ConversionError
        The network can't be written with these operators.
    ParityError
        The converted network gives other answers.
    TableError, SampleError, PlaneError
        The fields to compare on are too few or can't be read.
    OutputError
        The file can't be written.
    """
    fitted = read_fitted(run)
    with atomic_write(parity_file(out)) as partial_report, atomic_write(out) as partial:
        model = convert(fitted.network, fitted.card, opset=opset)
        card = fitted.card
        if raw_planes:
            model = with_raw_planes(model, card)
            card = replace(card, preprocessing=replace(card.preprocessing, place="graph"))
        serialized = model.SerializeToString(deterministic=True)
        card = card_for(serialized, card)
        compared, recorded = (samples, None) if samples else ([fitted.data], fitted.white)
        level = recorded if white is None else white
        report = measure_parity(fitted.network, serialized, card, compared, count=count, white=level)
        card = replace(card, parity=report.summary)
        partial_report.write_bytes(report.to_json())
        partial.write_bytes(embed_card(model, card))
        check_contract(read_onnx(partial), card)
    return card


def parity_file(model: Path) -> Path:
    """Name the file next to an exported model with the comparison, field by field."""
    return model.with_name(f"{model.stem}.parity.json")
