"""``hpa review``: what people said about answers, as figures, as a data set, and from a report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click
import msgspec

from hpa_sdk.cli.log_options import add_log_options
from hpa_sdk.cli.model_text import printable
from hpa_sdk.cli.review_text import status_lines
from hpa_sdk.errors import HpaError, OutputError, TableError, count_of
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.trained_scale import for_model, scale_notes
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.report.checked_planes import OTHER, read_checked
from hpa_sdk.report.finder import PlaneFinder, SearchPaths
from hpa_sdk.results.result import Result
from hpa_sdk.results.result_store import LEDGER, ResultStore
from hpa_sdk.review.export import ReadPlanes, export
from hpa_sdk.review.log import Entry, ReviewLog
from hpa_sdk.review.record import Review
from hpa_sdk.review.summary import read_reviewed, summarise
from hpa_sdk.review.tables import read_reviews
from hpa_sdk.workstation.station import Station, read_station

_PATH = click.Path(path_type=Path)
_SHOWN = 5  # ids of a reason
_SCALED = (
    "Fields that were brought to the pixel size of training are exported so, as they were answered: give no pixel size"
    " where they are read."
)


@click.group()
def review() -> None:
    """Figures and data sets of reviewed answers.

    Answers are reviewed on the page of hpa serve, on the page of a report, and in napari. STORE is the folder for
    results of hpa watch and hpa serve, or the ledger in it.
    """


@review.command()
@click.argument("store", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(store: Path, *, as_json: bool) -> None:
    """Print how many answers were reviewed, how good each model was, and how far people agree."""
    with _opened(store) as opened:
        summary = summarise(opened)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(summary), indent=2).decode())
        return
    for line in status_lines(summary):
        click.echo(line)


@review.command("export")
@click.argument("store", type=_PATH)
@click.argument("folder", type=_PATH)
@click.option("--planes", multiple=True, type=_PATH, help="Folder, table or file in which to look for fields by name.")
@click.option("--station", type=_PATH, help="Station file by which hpa watch read the fields.")
def export_(store: Path, folder: Path, planes: tuple[Path, ...], station: Path | None) -> None:
    """Write the reviewed fields of STORE to FOLDER, a data set that training reads.

    FOLDER has train.csv, the planes as PNG, and reviews.csv. A field is in it if most of its reviewers named the same
    labels. The exit code is 0 when every such field is exported, 1 when planes of some are gone or were changed.
    """
    with _opened(store) as opened:
        known = read_reviewed(opened)
    fields = [*known.fields, *known.other_fields]
    results = [field.result for field in fields]
    rules = None if station is None else _rules_of(read_station(station), results)
    read = partial(_read_planes, PlaneFinder(_one_of_each(results), SearchPaths(paths=planes), rules))
    done = export(folder, fields, known.reviews, scheme=known.scheme, read=read)
    click.echo(f"{count_of(done.fields, 'field')} exported to {folder}", err=True)
    if done.fields and any(scale_notes(result.notes) for result in results):
        click.echo(_SCALED, err=True)
    for reason, names in done.left_out.items():
        shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
        click.echo(printable(f"{count_of(len(names), 'field')} left out, {reason}: {shown}"), err=True)
    for remark in done.remarks:
        click.echo(printable(remark), err=True)
    if any(reason.startswith("planes") for reason in done.left_out):
        click.get_current_context().exit(1)


@review.command("import")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=_PATH)
@click.argument("store", type=_PATH)
def import_(files: tuple[Path, ...], store: Path) -> None:
    """Add the reviews of FILE... to STORE: files that the page of a report saved, or tables reviews.csv.

    A review that STORE has already is not added again. The exit code is 0 when all reviews are in STORE, 1 when some
    of them can't be used.
    """
    added = known = failed = unknown = 0
    with _opened(store) as opened:
        log = ReviewLog(opened.ledger)
        for file in files:
            newest = log.newest()
            read = list(read_reviews(file))
            outcomes = log.add_all(_withdrawals_after([one for one in read if isinstance(one, Review)]))
            entries = [one for one in outcomes if isinstance(one, Entry)]
            refused = [one for one in (*read, *outcomes) if isinstance(one, HpaError)]
            for refusal in refused:
                click.echo(str(refusal), err=True)
            new = len({entry.number for entry in entries if entry.number > newest})
            added, known, failed = added + new, known + len(entries) - new, failed + len(refused)
            unknown += sum(opened.get(entry.review.field) is None for entry in entries)
    click.echo(f"{count_of(added, 'review')} added, {known:,} known already, {failed:,} can't be used", err=True)
    if unknown:
        click.echo(f"{count_of(unknown, 'review')} of fields that have no result in {store}", err=True)
    if failed:
        click.get_current_context().exit(1)


def _withdrawals_after(reviews: list[Review]) -> list[Review]:
    """Return reviews in their order, with each withdrawal after its review: a spreadsheet may have sorted the rows."""
    at = {one.id: number for number, one in enumerate(reviews)}
    return sorted(reviews, key=lambda one: (max(at[one.id], at.get(one.withdraws, 0)), one.verdict == "withdrawn"))


@contextmanager
def _opened(path: Path) -> Iterator[ResultStore]:
    ledger = path / LEDGER if path.is_dir() else path
    if not ledger.is_file():
        raise OutputError(
            "there is no store of results",
            where=path,
            remedy="Name the folder for results of hpa watch or hpa serve, or the ledger in it.",
        )
    with ResultStore(ledger.parent, ledger=ledger) as store:
        yield store


def _one_of_each(results: list[Result]) -> list[Result]:
    """Return one result of each id: the finder refuses an id that several results have."""
    return list({result.id: result for result in results}.values())


def _rules_of(station: Station, results: list[Result]) -> FieldRules:
    """Return the rules by which the watch of a station reads: with the scale of the model's training, if it counted."""
    if not any(scale_notes(result.notes) for result in results):
        return station
    try:
        return for_model(check_model(resolve_model(station.model).path, as_card(station.card)), station)
    except HpaError as error:
        click.echo(f"The scale of the model's training is not known: {error}", err=True)
        return station


def _read_planes(finder: PlaneFinder, result: Result) -> ReadPlanes:
    found = read_checked(finder.find(result))
    if found.caption == OTHER:
        raise TableError("the field of this name is not the one that was reviewed", where=result.id, remedy="Find it.")
    if scale_notes(result.notes) != scale_notes(found.notes):
        raise TableError(
            "the field was answered at the pixel size of training, and is now read at its own or at another one: name"
            " with --station the station file that has this model, and the pixel size if the files have none",
            where=result.id,
            remedy="Find it.",
        )
    return ReadPlanes(found.planes, found.files, found.caption)


for _command in review.commands.values():
    add_log_options(_command)
