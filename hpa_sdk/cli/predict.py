"""``hpa predict``: label sets for files, folders and tables of fields."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, cast

import click
from tqdm import tqdm

from hpa_sdk.errors import HpaError
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White
from hpa_sdk.samples import find_samples
from hpa_sdk.writers import WRITERS, Writer, open_writer


class _Threshold(click.ParamType[float | Literal["card"]]):
    name = "card|FLOAT"

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float | Literal["card"]:
        if value == "card":
            return "card"
        return click.FloatRange(0, 1).convert(value, param, ctx)


class _White(click.ParamType[White]):
    name = "FLOAT|dtype|percentile"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> White:
        if value in {"dtype", "percentile"}:
            return cast("White", value)
        return click.FloatRange(min=0, min_open=True).convert(value, param, ctx)


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write. Default: the standard output.")
@click.option(
    "--format", "form", type=click.Choice(sorted(WRITERS)), help="Default: by the output's extension, else csv."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, tensorrt or openvino.")
@click.option("--threshold", type=_Threshold(), default="card", show_default=True, help="Probability that counts.")
@click.option("--white", type=_White(), help="White level of 16-bit planes, such as 4095 for a 12-bit camera.")
@click.option("--on-error", type=click.Choice(["record", "stop"]), default="record", show_default=True)
@click.option("-r", "--recursive", is_flag=True, help="Search the folders below a folder too.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of a table's ids. Default: the table's own.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Fields a run. Default: what suits the device.")
@click.option("--verify", is_flag=True, help="Refuse a MODEL that was altered after it was exported.")
def predict(
    model: Path,
    paths: tuple[str, ...],
    output: Path | None,
    form: str | None,
    device: str,
    threshold: float | Literal["card"],
    white: White | None,
    on_error: str,
    recursive: bool,
    root: Path | None,
    batch_size: int | None,
    verify: bool,
) -> None:
    """Say in which organelles the protein sits, for each field that PATH... name.

    A PATH is a folder, a table with a column Id, one of a field's four files, or what their names share. The exit code
    is 0 when every field was answered, 1 when some failed (the output says why), 2 when nothing could start.
    """
    _require_a_sample(paths, recursive=recursive, root=root)
    predictor = Predictor.load(
        model, device=device, threshold=threshold, white=white, batch_size=batch_size, verify=verify
    )
    answers = predictor.stream(paths, recursive=recursive, root=root)
    failed = 0
    with _writer(output, form or _form_of(output)) as writer:
        for answer in tqdm(answers, unit=" fields", disable=None):
            if isinstance(answer, Failure):
                if on_error == "stop":
                    raise _Stopped(str(answer.error))
                failed += 1
                click.echo(f"{answer.id}: {answer.error}", err=True)
            writer.write(answer)
    if failed:
        click.echo(f"{failed} fields failed; the output says why.", err=True)
        click.get_current_context().exit(1)


class _Stopped(click.ClickException):
    """Ends a run at its first failure: exit code 1, nothing written."""


def _require_a_sample(paths: Sequence[str], *, recursive: bool, root: Path | None) -> None:
    """Refuse to load a model when no path leads to a sample, with the first path's reason."""
    first_error: HpaError | None = None
    for path in paths:
        try:
            next(find_samples(path, recursive=recursive, root=root))
        except HpaError as error:
            first_error = first_error or error
        else:
            return
    if first_error:
        raise first_error


def _form_of(output: Path | None) -> str:
    if output is None:
        return "csv"
    extension = output.suffix.lower().removeprefix(".")
    if extension not in WRITERS:
        raise click.UsageError(f"{output.name} does not tell the form of the output: name it with --format.")
    return extension


@contextmanager
def _writer(output: Path | None, form: str) -> Iterator[Writer]:
    if output is None:
        yield WRITERS[form](sys.stdout)
    else:
        with open_writer(output, form) as writer:
            yield writer
