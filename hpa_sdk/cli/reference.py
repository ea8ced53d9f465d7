"""``hpa reference``: learns from fields what is usual for a model, so that it can say what is not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
from tqdm import tqdm

from hpa_sdk.cli.parameters import ModelPath, card_option, device_option, single_cells_option, white_option
from hpa_sdk.cli.reading_options import reading_options, rules_from, white_for
from hpa_sdk.errors import SettingError, count_of
from hpa_sdk.fields.stack_samples import scene_part
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.contract import check_pictures
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White
from hpa_sdk.quality.limits import LEAST_FIELDS, learn_limits_apart
from hpa_sdk.quality.reference import Reference, learn_spread


@click.command()
@click.argument("model", type=ModelPath())
@click.argument("paths", nargs=-1, required=True, metavar="FIELDS...")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write.")
@click.option("--data", help="Name of the fields. Default: their paths.")
@card_option
@device_option
@white_option
@single_cells_option
@click.option("-r", "--recursive", is_flag=True, help="Search the folders below a folder too.")
@reading_options
def reference(
    model: Path,
    paths: tuple[str, ...],
    output: Path,
    data: str | None,
    card: Path | None,
    device: str,
    white: White | None,
    single_cells: bool,
    recursive: bool,
    **reading: Any,
) -> None:
    """Learn from FIELDS, 20 or more that are as they should be, what is usual for MODEL.

    'hpa predict --reference FILE' then warns of fields that differ from these: in the quality of their planes, or in
    what the network sees in them. Give fields of different kinds, such as those of two microscopes, as different paths:
    if each has 20 or more, what is usual in one of them is usual.
    """
    rules = rules_from(**reading)
    white = white_for(white, rules)
    embeddings = []
    seen: set[tuple[str, ...]] = set()
    twice = 0
    measured: dict[str, list[dict[str, float]]] = {}
    with Predictor.load(model, card=as_card(card), device=device, white=white) as predictor:
        check_pictures(predictor.card, model, single_cells=single_cells)
        network = predictor.card.network_id
        answers = (
            (path, answer)
            for path in dict.fromkeys(paths)
            for answer in predictor.stream(path, recursive=recursive, rules=rules)
        )
        for path, answer in tqdm(answers, unit=" fields", disable=None):
            if isinstance(answer, Failure):
                raise SettingError(
                    f"{answer.id} has no answer ({answer.error.what})",
                    where=answer.error.where,
                    remedy="Leave it out, or mend it.",
                )
            # Counted twice, a field would be held out and learned from at once.
            own = _field_of(answer)
            if own in seen:
                twice += 1
                continue
            seen.add(own)
            embeddings.append(answer.embedding)
            if answer.quality is not None:
                measured.setdefault(path, []).append(answer.quality.measures)
    if twice:
        click.echo(f"{count_of(twice, 'field')} in more than one of the paths: each counts once.", err=True)
    few = [path for path, some in measured.items() if len(some) < LEAST_FIELDS]
    if 0 < len(few) < len(measured):
        click.echo(
            f"{few[0]} has {count_of(len(measured[few[0]]), 'field')}, fewer than {LEAST_FIELDS}: limits are learned"
            " from the fields of all paths together, and flag less if these differ.",
            err=True,
        )
    made = Reference(
        data=data or ", ".join(Path(path).name for path in paths),
        fields=len(embeddings),
        limits=learn_limits_apart([(Path(path).name, some) for path, some in measured.items()]),
        spread=learn_spread(np.stack(embeddings)) if embeddings[0].size else None,
        network=network,
    )
    problem = made.problem()
    if problem is not None:
        raise SettingError(f"the reference can't be used: {problem}", remedy="Give other fields.")
    with atomic_write(output) as partial:
        partial.write_bytes(msgspec.json.encode(made) + b"\n")
    click.echo(f"{output}: from {count_of(len(embeddings), 'field')}; use it with 'hpa predict --reference'.", err=True)


def _field_of(answer: Prediction) -> tuple[str, ...]:
    """Return the files of a field and its scene in them: the same in whatever path it is found."""
    files = tuple(os.path.realpath(file.path) for file in answer.files)
    return (*files, scene_part(answer.id, answer.files)) if files else (answer.id,)
