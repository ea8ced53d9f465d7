"""Makes the int8 variant of an exported file: a quarter of the size, and several times as fast on a CPU."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import onnx

from export.fields import LEAST_FIELDS, Fields, read_fields
from export.quantization.quantizer import QuantizationPlan, Quantizer
from export.quantization.search import choose, describe, search
from export.variants.agreement import answer
from export.variants.variant import JUDGED_FIELDS, read_parent, write_variant
from hpa_sdk.errors import TableError
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.preprocessing import White

CALIBRATION_FIELDS = 128
"""Default for the largest number of fields that give the ranges of activations."""

_TRIED_ON = 48


def export_int8(
    model: Path,
    data: Path,
    out: Path,
    *,
    held_out: Path | None = None,
    calibration_fields: int = CALIBRATION_FIELDS,
    judged_fields: int = JUDGED_FIELDS,
    reduce_range: bool = False,
    white: White | None = None,
    force: bool = False,
    single_cells: bool = False,
) -> ModelCard:
    """Make the int8 variant of a file by the plan that is best on this machine.

    The fields are split into three parts: the first gives the ranges of activations, plans are tried on the second,
    and the file is judged on the third.

    Parameters
    ----------
    model : pathlib.Path
        An fp32 file with its card.
    data : pathlib.Path
        Fields of the kind that the network was fitted on; their labels are used if there is a table of them.
    out : pathlib.Path
        The file to write, atomically.
    held_out : pathlib.Path, optional
        Fields to judge on, preferably ones that the network was not fitted on. Default: the third part of `data`.
    calibration_fields, judged_fields : int
        Largest number of fields in the first and in the last part.
    reduce_range : bool
        Always give weights 7 bits, for CPUs without VNNI.
    white : optional
        White level of 16-bit planes, in `data` and `held_out`.
    force : bool
        Write it even if it does not pass the gates.
    single_cells : bool
        Whether each picture is of one cell, for a model that answers for cells.

    Returns
    -------
    ModelCard
        The card inside the file.

    Raises
    ------
    VariantError
        The parent can't be used, or a gate is not passed.
    TableError
        There are fewer fields than the parts need.
    HpaError
        A file can't be read or written.
    """
    parent = read_parent(model, out, single_cells=single_cells)
    fields = read_fields(data, parent.card, least=(3 if held_out is None else 2) * LEAST_FIELDS, white=white)
    calibration, tried_on, judged = part(fields, calibration_fields, judged_fields)
    if held_out is not None:
        others = read_fields(held_out, parent.card, least=LEAST_FIELDS, white=white)
        judged = others.without(calibration, tried_on, most=judged_fields)
    if len(judged.samples) < LEAST_FIELDS:
        raise TableError(
            f"{len(judged.samples)} fields to judge by take no other part, and {LEAST_FIELDS} are needed",
            where=held_out or data,
            remedy="Name other fields with --held-out.",
        )
    expected = answer(parent.path, parent.card, judged)
    # Next to the file to write, so that an error about a full disk names the right disk.
    with atomic_write(out) as partial, TemporaryDirectory(dir=out.parent, prefix=".int8-") as work:
        quantizer = Quantizer(parent, calibration, Path(work))
        trials = search(quantizer, parent, tried_on, QuantizationPlan(reduce_range=reduce_range))
        parts = {
            "calibrated": f"on {len(calibration.samples)} fields of {calibration.name}",
            "chosen": f"on {len(tried_on.samples)} others",
            "judged": f"on {len(judged.samples)} others" + (f", of {judged.name}" if held_out else ""),
        }
        return write_variant(
            onnx.load(quantizer.quantize(choose(trials).plan)),
            "int8",
            parent,
            judged,
            expected=expected,
            settings=describe(trials) | parts,
            force=force,
            partial=partial,
        )


def part(fields: Fields, calibration: int, judged: int) -> tuple[Fields, Fields, Fields]:
    """Split fields into those to calibrate, to try plans, and to judge on; about a third each if they are few."""
    count = len(fields.samples)
    first = min(calibration, max(LEAST_FIELDS, count // 3))
    second = first + min(_TRIED_ON, (count - first) // 2)
    return (
        fields.take(range(first)),
        fields.take(range(first, second)),
        fields.take(range(second, min(count, second + judged))),
    )
