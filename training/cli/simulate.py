"""``python -m training simulate``: simulates fields in the Kaggle form."""

from __future__ import annotations

from pathlib import Path

import click

from training import simulation
from training.simulation.contact_sheet import contact_sheet as draw_contact_sheet


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--count", type=click.IntRange(min=1), required=True, help="Number of fields.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same bytes.")
@click.option("--size", type=click.IntRange(min=64), default=512, show_default=True, help="Side of a plane in pixels.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. Default: one a core.")
@click.option("--masks", is_flag=True, help="Also write a label image of the cells of each field, to OUT/masks.")
@click.option("--contact-sheet", type=click.Path(path_type=Path), help="PNG to draw, with one tile a class.")
def simulate(
    out: Path, count: int, seed: int, size: int, workers: int | None, masks: bool, contact_sheet: Path | None
) -> None:
    """Simulate fields of four planes with their label table into OUT.

    They have the form, the label frequencies and the co-occurrence of the Kaggle set of 2018. They are drawings of
    cells, not pictures of cells: what a network learns from them says nothing about biology.
    """
    table = simulation.simulate(out, count=count, seed=seed, size=size, workers=workers, masks=masks)
    click.echo(f"{count} simulated fields: {table}", err=True)
    if contact_sheet is not None:
        draw_contact_sheet(contact_sheet, seed=seed)
        click.echo(f"one tile a class: {contact_sheet}", err=True)
