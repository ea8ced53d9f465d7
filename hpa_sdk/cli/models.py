"""``hpa models``: lists, fetches, checks and removes the models that have a name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from hpa_sdk.cli.log_options import add_log_options
from hpa_sdk.cli.parameters import ModelName
from hpa_sdk.errors import CatalogueError, ModelFileError, OutputError, count_of
from hpa_sdk.models.catalogue import Known, find_model, known_models, unknown_model
from hpa_sdk.models.catalogue_entry import CatalogueEntry
from hpa_sdk.models.model_store import LICENCE_NAME, ModelStore
from hpa_sdk.models.packaged_models import built_in_catalogue, is_packaged, packaged_file, verify_packaged

_NAME = ModelName()
_log = logging.getLogger("hpa_sdk")


@click.group()
def models() -> None:
    """List, fetch, check and remove models that have a name.

    A name can stand wherever a command takes a model file. Fetched models are in the folder that HPA_MODELS names, or
    in one of the user. HPA_CATALOGUE names the lab's own catalogues: files, or one address.
    """


@models.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_models(as_json: bool) -> None:
    """List all models that have a name, and which of them are here."""
    store = ModelStore()
    known = known_models(store, fresh=True)
    here = {name: _file_here(name, each.entry, store) for name, each in known.items()}
    if as_json:
        _print_json({name: _facts(each, here[name]) for name, each in sorted(known.items())})
        return
    rows = [("name", "here", "answers", "scheme", "title")]
    for name, each in sorted(known.items()):
        state = "yes" if here[name] else "-"
        rows.append((name, state, f"{each.entry.unit}s", each.entry.scheme, each.entry.title))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"Fetched models are in {store.folder}", err=True)


@models.command()
@click.argument("name", type=_NAME)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def info(name: str, as_json: bool) -> None:
    """Print what the catalogue says about NAME, with its licence, and whether it is here."""
    store = ModelStore()
    known = find_model(name, store, fresh=True)
    facts = _facts(known, _file_here(name, known.entry, store))
    own = None if is_packaged(known.entry) else store.entry(name)
    if own is not None:
        facts["fetched"] = f"{own.fetched}, SHA-256 {own.sha256} ({own.pinned})"
    if as_json:
        _print_json({name: facts})
        return
    card = facts.pop("card", None)
    for key, value in ({"name": name} | facts).items():
        click.echo(f"{key:<10} {'not here' if value is None and key == 'file' else value}")
    click.echo(
        f"{'card':<10} {'inside the file' if card is None else json.dumps(card, ensure_ascii=False, default=str)}"
    )


@models.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=_NAME)
@click.option(
    "--to", type=click.Path(path_type=Path), help="Folder to carry to a computer without a network, as its HPA_MODELS."
)
def get(names: tuple[str, ...], to: Path | None) -> None:
    """Fetch NAME..., and print the path of each file. What is here already is checked, and not fetched again.

    With --to, each model gets a folder of its own there: the file, its catalogue entry, and its licence. On the other
    computer, let HPA_MODELS name that folder and use the names, or name the folder of the model itself.
    """
    own = ModelStore()
    store = own if to is None else ModelStore(to)
    for name in names:
        entry = _wanted(name, own, store)
        if to is None and is_packaged(entry):
            path = packaged_file(name, entry)
            verify_packaged(name, entry)
        else:
            path = store.get(name, entry, other=None if store.folder == own.folder else own)
            store.verify(name)
        click.echo(path)
        click.echo(f"The terms of use are in {path.parent / LICENCE_NAME}.", err=True)


@models.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, type=_NAME)
@click.option("--forget", is_flag=True, help="Also forget the SHA-256, so that another file may take the name.")
def remove(names: tuple[str, ...], forget: bool) -> None:
    """Remove the files of NAME.... The SHA-256 of each stays pinned: another file under the same name is refused."""
    store = ModelStore()
    for name in names:
        if store.entry(name) is None and name in _packaged():
            raise ModelFileError(
                "the model is a part of hpa-sdk and can't be removed", where=name, remedy="It goes with hpa-sdk itself."
            )
        if not store.remove(name, forget=forget):
            raise ModelFileError("the model is not here", where=name, remedy="'hpa models list' shows what is.")
        click.echo(f"{name}: removed from {store.folder}", err=True)


@models.command()
@click.argument("names", metavar="[NAME...]", nargs=-1, type=_NAME)
def verify(names: tuple[str, ...]) -> None:
    """Compare the fetched files of NAME..., and those in the package, with their SHA-256. Default: all.

    The exit code is 0 when all are as fetched or released, 1 when some are not.
    """
    store, packaged = ModelStore(), _packaged()
    fetched = [name for name in store.names() if store.file(name) is not None]
    checks: list[tuple[str, str, Callable[[], None]]] = []
    for name in names or sorted({*packaged, *fetched}):
        if name in packaged:
            checks.append((name, "released", partial(verify_packaged, name, packaged[name])))
        if name in fetched or name not in packaged:
            checks.append((name, "fetched", partial(store.verify, name)))
    failed = 0
    for name, origin, check in checks:
        try:
            check()
        except (ModelFileError, CatalogueError, OutputError) as error:
            failed += 1
            click.echo(str(error), err=True)
        else:
            click.echo(f"{name}: as {origin}")
    if failed:
        click.echo(f"{count_of(failed, 'model')} not as fetched or released.", err=True)
        click.get_current_context().exit(1)


def _wanted(name: str, own: ModelStore, store: ModelStore) -> CatalogueEntry:
    try:
        known = known_models(own, fresh=True)
    except CatalogueError as error:
        # Without a network, what was fetched earlier can still be carried on.
        entry = store.entry(name) or own.entry(name)
        if entry is None:
            raise
        _log.warning("%s", error)
        return entry
    if name not in known:
        raise unknown_model(name, known)
    return known[name].entry


def _packaged() -> dict[str, CatalogueEntry]:
    return {name: entry for name, entry in built_in_catalogue().items() if is_packaged(entry)}


def _file_here(name: str, entry: CatalogueEntry, store: ModelStore) -> Path | None:
    if not is_packaged(entry):
        return store.file(name)
    file = Path(entry.address)
    return file if file.is_file() else None


def _facts(known: Known, file: Path | None) -> dict[str, Any]:
    entry = msgspec.to_builtins(known.entry)
    return {**entry, "catalogue": known.catalogue, "file": None if file is None else str(file)}


def _print_json(facts: object) -> None:
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False, default=str))


for _command in models.commands.values():
    add_log_options(_command)
