"""Creates a report from a file of results: a page, a contact sheet, or both."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import msgspec

from hpa_sdk.errors import HpaError, SettingError, TableError, count_of
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.files.file_state import stamp_of
from hpa_sdk.labels import HPA_2018, LabelScheme
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.onnx_file import file_sha256
from hpa_sdk.prediction import Failure
from hpa_sdk.report.cells import (
    BYTES_OF_A_CELL,
    FieldCells,
    cells_of_results,
    check_scheme,
    is_cells_file,
    read_field_cells,
)
from hpa_sdk.report.contact_sheet import write_contact_sheet
from hpa_sdk.report.content import page_content
from hpa_sdk.report.document import write_document
from hpa_sdk.report.fields import Field, make_fields
from hpa_sdk.report.finder import PlaneFinder, PlanesOfResult, SearchPaths
from hpa_sdk.report.metrics import read_truth
from hpa_sdk.report.pictures import Picture, choose_side, draw_all
from hpa_sdk.report.provenance_file import RunProvenance, read_provenance
from hpa_sdk.results.result import Result
from hpa_sdk.results.results_file import read_results
from hpa_sdk.workstation.station import Station

LARGEST = 50.0
"""Default maximum size of a report in MB; its pictures are scaled to fit."""

_BYTES = 1e6
_BYTES_OF_A_FIELD = 1800  # its names and numbers
_log = logging.getLogger("hpa_sdk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The inputs of a report.

    Attributes
    ----------
    results : pathlib.Path
        As for `read_results`.
    planes : sequence of pathlib.Path
        Where fields are searched by their ids, if the files that were answered are gone; see `PlaneFinder`. Default:
        the paths in the provenance of ``hpa predict``.
    truth : pathlib.Path, optional
        A table of labels; see `read_truth`.
    model : pathlib.Path, optional
        The model file that made the results: its card and thresholds are shown. Default: as for `planes`.
    card : ModelCard, optional
        Its card, if it is not in the file. Default: as for `planes`.
    threshold : float or "card", optional
        The threshold that the results were made with. Default: as for `planes`, else the card's.
    station : Station, optional
        The rules by which ``hpa watch`` read the fields. Default: those in the provenance of ``hpa predict``.
    cells : pathlib.Path, optional
        A file of cells of these fields, as `hpa_sdk.cells.cells_file.read_cells` reads it. Results can also be such a
        file themselves.
    """

    results: Path
    planes: Sequence[Path] = field(default=())
    truth: Path | None = None
    model: Path | None = None
    card: ModelCard | None = None
    threshold: float | Literal["card"] | None = None
    station: Station | None = None
    cells: Path | None = None


def make_report(
    sources: Sources, *, page: Path | None = None, contact_sheet: Path | None = None, size: float = LARGEST
) -> list[Field]:
    """Write a report, a contact sheet, or both.

    Parameters
    ----------
    sources : Sources
        Its inputs.
    page, contact_sheet : pathlib.Path, optional
        The HTML file and the PNG file.
    size : float
        Maximum MB of the page: planes are shown as large as they can be within it.

    Returns
    -------
    list of Field
        The fields, in the order of the results. One whose planes are not found is shown without a picture.

    Raises
    ------
    HpaError
        Something of `sources` can't be used, or no file can be written.
    """
    stamp = stamp_of(sources.results) if sources.results.is_file() else None
    read, cells = _read(sources)
    provenance = read_provenance(sources.results)
    results = read if provenance is None else list(map(provenance.named, read))
    places = _places(sources, provenance)
    made_with = () if provenance is None or sources.threshold is not None else provenance.thresholds
    sources = _complete(sources, provenance)
    card = None if sources.model is None else check_model(sources.model, sources.card)
    _check_model(sources, results, provenance)
    if any(len(result.models) > 1 for result in results):
        card = None  # its thresholds are not those of the ensemble
    scheme = _scheme(results, sources.results)
    check_scheme(cells, scheme, sources.cells or sources.results)
    truth = None if sources.truth is None else read_truth(sources.truth, scheme)
    fields = make_fields(results, thresholds=made_with or _thresholds(sources, card, len(scheme)), truth=truth)
    _check_truth(sources, fields)
    found = _find(PlaneFinder(results, places, _rules(sources, provenance, whole=bool(cells))), results)
    text = _BYTES_OF_A_FIELD * len(results) + BYTES_OF_A_CELL * sum(len(one.cells) for one in cells.values())
    budget = size * _BYTES - text
    side = choose_side([one for one in found if isinstance(one, PlanesOfResult)], budget=budget)
    pictures = list(draw_all(found, side=side))
    _log_pictures(fields, pictures)
    title = f"{sources.results.name}: where the proteins sit"
    facts = {} if page is None else _facts(sources, read, provenance)
    # Results with a provenance are written once; those of a watch may grow.
    if provenance is not None and stamp_of(sources.results) != stamp:
        raise TableError(
            "the results were changed while they were read", where=sources.results, remedy="Make the report again."
        )
    if contact_sheet is not None:
        write_contact_sheet(fields, pictures, contact_sheet, title=title)
    if page is not None:
        content = page_content(fields, pictures, scheme=scheme, title=title, card=card, provenance=facts, cells=cells)
        write_document(content, pictures, page)
    return fields


def _read(sources: Sources) -> tuple[list[Result], dict[str, FieldCells]]:
    if is_cells_file(sources.results):
        if sources.truth is not None or sources.cells is not None:
            raise SettingError(
                "the results are of cells; a truth table has labels of fields",
                where=sources.results,
                remedy="Give the results of hpa predict, and these as --cells.",
            )
        cells = read_field_cells(sources.results)
        return [one.result for one in cells.values()], cells
    results = list(read_results(sources.results))
    return results, {} if sources.cells is None else cells_of_results(results, sources.cells)


def _places(sources: Sources, provenance: RunProvenance | None) -> SearchPaths:
    if sources.planes or provenance is None:
        return SearchPaths(paths=sources.planes)
    # Earlier versions wrote neither stamps nor the base of relative paths: shown as before, with a caption.
    return SearchPaths(
        paths=provenance.search_paths(), named_by_user=False, show_unchecked=provenance.working_folder is None
    )


def _complete(sources: Sources, provenance: RunProvenance | None) -> Sources:
    if provenance is None:
        return sources
    threshold = provenance.settings.threshold if sources.threshold is None else sources.threshold
    planes, model = sources.planes or provenance.search_paths(), sources.model or provenance.model_file()
    card = sources.card or (provenance.card() if sources.model is None else None)
    return replace(sources, planes=planes, model=model, card=card, threshold=threshold)


def _rules(sources: Sources, provenance: RunProvenance | None, *, whole: bool) -> FieldRules | None:
    """Return the rules by which planes are read: those that the user named, else those of the run.

    Cells are found in whole fields, so fields with cells are not brought to the scale of training.
    """
    rules: FieldRules | None = sources.station
    if rules is None and provenance is not None and provenance.settings.rules is not None:
        _log.warning("Planes are read by the rules of the run, as its provenance has them; --station gives others.")
        rules = provenance.settings.rules
    return msgspec.structs.replace(rules, trained=None) if whole and rules is not None else rules


def _check_model(sources: Sources, results: Sequence[Result], provenance: RunProvenance | None) -> None:
    made_by = {sha256 for result in results for sha256 in result.models or (result.model_sha256,)} - {""}
    made_by |= set() if provenance is None else {provenance.model.sha256}
    if sources.model is not None and made_by and file_sha256(sources.model) not in made_by:
        raise SettingError(
            "the results were made by another model", where=sources.model, remedy="Name the file that made them."
        )


def _scheme(results: Sequence[Result], where: Path) -> LabelScheme:
    """Return the classes of the results. A field that failed has none."""
    schemes = list(dict.fromkeys(result.label_scheme for result in results if result.error is None))
    if len(schemes) > 1:
        raise SettingError(
            f"the results are of several label schemes ({', '.join(scheme.name for scheme in schemes)})",
            where=where,
            remedy="Make a report of the results of one model.",
        )
    return schemes[0] if schemes else HPA_2018


def _thresholds(sources: Sources, card: ModelCard | None, classes: int) -> tuple[float, ...]:
    if isinstance(sources.threshold, float):
        return (sources.threshold,) * classes
    return () if card is None else card.thresholds


def _check_truth(sources: Sources, fields: Sequence[Field]) -> None:
    repeated = [field for field in fields if field.repeats_id]
    if repeated:
        _log.warning(
            "%d fields count as without truth, because several results have their id; the first: %s. Predict again:"
            " ids are unique within one run, and the truth table can name them as the results do.",
            *(len(repeated), repeated[0].result.id),
        )
    if sources.truth is not None and not repeated and all(field.truth is None for field in fields):
        raise SettingError(
            "the truth table has none of the fields in the results",
            where=sources.truth,
            remedy="Its column Id should hold the ids of the results.",
        )


def _find(finder: PlaneFinder, results: Sequence[Result]) -> list[PlanesOfResult | Failure]:
    found: list[PlanesOfResult | Failure] = []
    for result in results:
        try:
            found.append(finder.find(result))
        except HpaError as error:
            found.append(Failure(result.id, error))
    return found


def _log_pictures(fields: Sequence[Field], pictures: Sequence[Picture | Failure]) -> None:
    shown = [(field, picture) for field, picture in zip(fields, pictures, strict=True) if field.result.error is None]
    missing = [picture for _, picture in shown if isinstance(picture, Failure)]
    if missing:
        _log.warning(
            "%d fields are shown without a picture; the first, %s: %s", len(missing), missing[0].id, missing[0].error
        )
    for caption, count in Counter(picture.caption for _, picture in shown if isinstance(picture, Picture)).items():
        if caption:
            _log.warning("%d pictures have the caption: %s", count, caption)


def _facts(sources: Sources, results: Sequence[Result], provenance: RunProvenance | None) -> dict[str, str]:
    files = {"results": sources.results, "cells": sources.cells, "truth": sources.truth, "model": sources.model}
    facts = {name: _file(path) for name, path in files.items() if path is not None}
    for name, values in (
        ("made by model", {_made_by(result) for result in results}),
        ("device", {result.device for result in results}),
    ):
        if known := sorted(values - {""}):
            facts[name] = ", ".join(known)
    if times := sorted(result.time for result in results if result.time):
        facts["answered"] = times[0] if times[0] == times[-1] else f"{times[0]} to {times[-1]}"
    if sources.planes:
        facts["planes"] = ", ".join(map(str, sources.planes))
    return facts if provenance is None else facts | provenance.facts()


def _made_by(result: Result) -> str:
    if not result.models:
        return result.model_sha256
    return f"{result.model_sha256} ({' + '.join(result.models)}, {count_of(result.views, 'view')})"


def _file(path: Path) -> str:
    return f"{path}, sha256 {file_sha256(path)}" if path.is_file() else str(path)
