"""``hpa predict``: label sets for files, folders and tables of fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click
from tqdm import tqdm

from hpa_sdk.batch.answers import NoCache
from hpa_sdk.batch.discovery import count_aside, find_all
from hpa_sdk.batch.fingerprint import Comparison
from hpa_sdk.batch.run import Engine, OnWarning, Run, open_run
from hpa_sdk.cli.parameters import (
    RAY_FIELDS,
    ModelPath,
    Threshold,
    card_option,
    device_option,
    engine_option,
    ensemble_options,
    loader_of,
    resume_options,
    runtime_option,
    search_options,
    speed_options,
    white_option,
)
from hpa_sdk.cli.reading_options import reading_options, rules_from, white_for
from hpa_sdk.cli.standard_streams import is_stream, open_stream
from hpa_sdk.errors import count_of
from hpa_sdk.fields.trained_scale import rules_for, stack_rules_of
from hpa_sdk.models.card_file import as_card
from hpa_sdk.prediction import Failure
from hpa_sdk.preprocessing import White
from hpa_sdk.quality.reference import as_reference
from hpa_sdk.results.writers import FORMS, WRITERS


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="File to write. Default, and - : the standard output."
)
@click.option(
    "--format", "form", type=click.Choice(sorted(FORMS)), help="Default: by the output's extension, else csv."
)
@card_option
@device_option
@click.option("--threshold", type=Threshold(), default="card", show_default=True, help="Probability that counts.")
@white_option
@click.option(
    "--on-error",
    type=click.Choice(["record", "stop"]),
    default="record",
    show_default=True,
    help="If a field fails: record the reason in the output and go on, or stop and write no file.",
)
@click.option(
    "--on-warning",
    type=click.Choice(["record", "fail"]),
    default="record",
    show_default=True,
    help="If a field is blurred, saturated, empty or otherwise unusual: record it beside the answer, or let it fail.",
)
@click.option(
    "--reference",
    type=click.Path(path_type=Path),
    help="File of 'hpa reference': fields are compared with those. Default: the model's own, or the limits that ship.",
)
@ensemble_options(views="1")
@click.option("--calibrated", is_flag=True, help="Apply the card's temperature to probabilities and thresholds.")
@click.option("--quality/--no-quality", default=True, help="Measure the quality of fields. Default: yes.")
@search_options
@reading_options
@speed_options
@runtime_option
@engine_option
@click.option("--verify", is_flag=True, help="Refuse a MODEL that was altered after it was exported.")
@resume_options
def predict(
    model: Path,
    paths: tuple[str, ...],
    output: Path | None,
    form: str | None,
    card: Path | None,
    device: str,
    threshold: float | Literal["card"],
    white: White | None,
    on_error: str,
    on_warning: OnWarning,
    reference: Path | None,
    others: tuple[Path, ...],
    views: str,
    calibrated: bool,
    quality: bool,
    recursive: bool,
    root: Path | None,
    batch_size: int | None,
    threads: int | None,
    runtime_options: tuple[tuple[str, str], ...],
    engine: str,
    verify: bool,
    resume: bool,
    compare: Comparison,
    **reading: Any,
) -> None:
    """Say in which organelles the protein sits, for each field that PATH... name.

    A PATH is a folder, a table with a column Id, one of a field's four files, what their names share, or a stack: TIFF,
    OME-TIFF, OME-Zarr, CZI, LIF or ND2. For stacks, --channel or --station says what their channels are called. The
    exit code is 0 when every field was answered, 1 when some failed (the output says why), 2 when nothing could start.

    Next to an output file, <file>.provenance.json records how it was made. With --resume, <file>.ledger stores each
    answer: after any interruption, the same command makes the same output and repeats no answer.
    """
    output = output or Path("-")
    streamed = is_stream(output)
    if resume and streamed:
        raise click.UsageError("--resume goes with an output file: name one with -o.")
    if on_warning == "fail" and not quality:
        raise click.UsageError("--on-warning fail needs the quality of fields: leave --no-quality out.")
    form = _form_for(output, form)
    rules = rules_from(**reading)
    white = white_for(white, rules)
    predictor: Engine = loader_of(engine, RAY_FIELDS)(
        (model, *others),
        card=as_card(card),
        device=device,
        threshold=threshold,
        white=white,
        batch_size=batch_size,
        threads=threads,
        runtime_options=dict(runtime_options),
        verify=verify,
        quality=quality,
        calibrated=calibrated,
        views=int(views),
        reference=as_reference(reference, quality=quality),
    )
    rules = rules_for(predictor.card, rules, white)
    found = find_all(paths, recursive=recursive, root=root, rules=rules, stack_rules=stack_rules_of(predictor.card))
    opened: AbstractContextManager[Run]
    if streamed:
        opened = _open_streamed_run(output, form, predictor, on_warning)
    else:
        opened = open_run(
            output,
            form,
            engine=predictor,
            resume=compare if resume else None,
            on_warning=on_warning,
            # The options name a station file, which can change: the rules themselves are recorded too.
            request=click.get_current_context().params | {"rules": rules and rules.to_plain()},
            log=partial(click.echo, err=True),
        )
    with opened as run, tqdm(run.answers(found), unit=" fields", disable=None) as bar:
        if not bar.disable:
            count_aside(paths, partial(setattr, bar, "total"), recursive=recursive, root=root, rules=rules)
        for answer in bar:
            if isinstance(answer, Failure):
                if on_error == "stop":
                    raise _Stopped(str(answer.error))
                click.echo(f"{answer.id}: {answer.error}", err=True)
    _summarize(run)


def _summarize(run: Run) -> None:
    if run.warned:
        has = "has" if run.warned == 1 else "have"
        click.echo(f"{count_of(run.warned, 'field')} {has} warnings: see the column warnings.", err=True)
    if run.failed:
        click.echo(f"{count_of(run.failed, 'field')} failed; the output says why.", err=True)
        click.get_current_context().exit(1)


class _Stopped(click.ClickException):
    """Ends a run at its first failure: exit code 1, nothing written."""


def _form_for(output: Path, form: str | None) -> str:
    if not is_stream(output):
        return form or _form_of(output)
    if form is not None and form not in WRITERS:
        raise click.UsageError(f"{form} is no text: name a file with -o.")
    return form or "csv"


def _form_of(output: Path) -> str:
    extension = output.suffix.lower().removeprefix(".")
    if extension not in FORMS:
        raise click.UsageError(f"{output.name} does not give the output format: name it with --format.")
    return extension


@contextmanager
def _open_streamed_run(output: Path, form: str, engine: Engine, on_warning: OnWarning) -> Iterator[Run]:
    with open_stream(output) as stream:
        yield Run(engine, WRITERS[form](stream, engine.card.label_scheme), NoCache(), on_warning=on_warning)
