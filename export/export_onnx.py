"""Exports a finished run to one ONNX file that describes itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from export.convert import convert, embed_card
from export.fitted import read_fitted
from export.parity import LEAST_SAMPLES, measure_parity, read_images
from hpa_sdk.model_card import ModelCard
from hpa_sdk.onnx_file import graph_sha256
from hpa_sdk.whole_file import whole_file


def export_onnx(run: Path, out: Path, *, samples: Path | None = None, count: int = LEAST_SAMPLES) -> ModelCard:
    """Export a finished run, once its answers are shown to be the trained network's.

    Parameters
    ----------
    run : pathlib.Path
        The folder of a finished fit.
    out : pathlib.Path
        The ONNX file to write; it appears whole, after the comparison, or not at all.
    samples : pathlib.Path, optional
        Fields to compare on. Default: the data of the fit.
    count : int
        Number of fields to compare on.

    Returns
    -------
    ModelCard
        The card inside the file.

    Raises
    ------
    RunFolderError
        The run is not finished or is no network of this contract.
    ParityError
        The converted network answers otherwise.
    OutputError
        The file can't be written.
    """
    fitted = read_fitted(run)
    images = read_images(samples or fitted.data, fitted.card, count)
    with whole_file(out) as partial:
        model = convert(fitted.network, fitted.card)
        serialized = model.SerializeToString(deterministic=True)
        card = replace(
            fitted.card,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            parity=measure_parity(fitted.network, serialized, images, fitted.card),
            weights_sha256=graph_sha256(serialized),
        )
        partial.write_bytes(embed_card(model, card))
    return card
