"""``hpa station``: writes a template of the station file, and reports how a station file reads a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import click
from tqdm import tqdm

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.field_source import FieldReading, FieldSource
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.stack_samples import find_fields
from hpa_sdk.fields.trained_scale import for_model
from hpa_sdk.fields.white_level import Levels
from hpa_sdk.inference.ensemble import check_same_task
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.workstation.station import Station, read_station, write_template

_COLUMNS = ("field", "channel", "file", "read as", "pixels", "bits", "um/pixel", "white", "brightest")
_FAINT = 16  # 12 bits that are read as 16 are darker by this factor

Row = tuple[str, ...]


@click.group()
def station() -> None:
    """Write or check a station file: what this microscope writes, and what is to be done with it."""


@station.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("station.toml"))
def init(file: Path) -> None:
    """Write a commented station file to FILE (default: station.toml), never over an existing one."""
    write_template(file)
    click.echo(f"{file}: edit it, then run 'hpa station check {file}'.", err=True)


@station.command()
@click.argument("station_file", metavar="STATION", type=click.Path(path_type=Path))
@click.argument("folder", required=False, type=click.Path(path_type=Path))
def check(station_file: Path, folder: Path | None) -> None:
    """Report how STATION reads the files in FOLDER (default: the watched one).

    Every field is read, but not predicted. The exit code is 0 when all is well, 1 when something would fail, 2 when
    the station file can't be read.
    """
    rules = read_station(station_file)
    failures = _check_folders(rules, folder)
    try:
        _, card = read_model(resolve_model(rules.model).path, as_card(rules.card))
        failures[:0] = _check_others(card, rules.others)
        rules = for_model(card, rules)
    except HpaError as error:
        failures.insert(0, f"model: {error}")
    rows: list[Row] = [_COLUMNS]
    notes: list[str] = []
    samples = (
        [] if any(failure.startswith("watch: ") for failure in failures) else find_fields(rules, folder or rules.watch)
    )
    fields = 0
    for sample in tqdm(samples, unit=" fields", disable=None):
        fields += 1
        try:
            reading = cast("FieldSource", sample.source).look()
            levels = reading.white or tuple(
                Preprocessing().white_levels(reading.planes, white=rules.files.white, where=sample.files[0]).tolist()
            )
        except HpaError as error:
            failures.append(f"{sample.id}: {error}")
            continue
        rows += _rows(sample.id, reading, levels)
        notes += [f"{sample.id}: {note}" for note in (*reading.notes, *_doubts(reading, levels))]
    if not fields:
        failures.append("no file here matches the station file")
    _print_table(rows)
    for kind, lines in (("note", notes), ("FAILS", failures)):
        for line in lines:
            click.echo(f"{kind}: {line}")
    if failures:
        click.echo(f"{len(failures)} of the above would fail.", err=True)
        click.get_current_context().exit(1)


def _check_others(card: ModelCard, others: Sequence[Path]) -> Iterator[str]:
    for other in others:
        try:
            path = resolve_model(other).path
            check_same_task(card, read_model(path)[1], path)
        except HpaError as error:
            yield f"others: {error}"


def _check_folders(rules: Station, folder: Path | None) -> list[str]:
    return [
        f"{key}: {path}: no such folder. Make it, or name another in the station file."
        for key, path in (("watch", folder or rules.watch), ("output", rules.output))
        if not path.is_dir()
    ]


def _rows(name: str, reading: FieldReading, levels: Levels) -> Iterator[Row]:
    size = f"{reading.size[1]}x{reading.size[0]}"
    pixel_size = "unknown" if reading.pixel_size is None else f"{reading.pixel_size:.4g}"
    for channel, read, level in zip(Channel, reading.channels, levels, strict=True):
        bits = str(8 * reading.planes.itemsize)
        yield (
            name,
            channel,
            read.file or "-",
            read.description,
            size,
            bits,
            pixel_size,
            f"{level:g}",
            str(read.brightest),
        )


def _doubts(reading: FieldReading, levels: Levels) -> Iterator[str]:
    for channel, read, level in zip(Channel, reading.channels, levels, strict=True):
        if read.brightest > level and reading.white is None:
            yield f"{channel} has pixels brighter than white: they count as white"
        elif 0 < read.brightest * _FAINT <= level:
            yield f"{channel} is nowhere brighter than {read.brightest / level:.1%} of white: is files.white right?"


def _print_table(rows: list[Row]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
