"""Distributes the prediction of cells over a Ray cluster: a dataset of fields becomes one with a row for each cell."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import ray
import ray.data

from hpa_sdk.cells.cell import CellAnswers
from hpa_sdk.cells.classical import ClassicalSegmenter
from hpa_sdk.cells.network import NetworkSegmenter
from hpa_sdk.cells.packing import pack_labels, pack_mask, unpack_labels, unpack_mask
from hpa_sdk.cells.predict import check_settings
from hpa_sdk.cells.segmenter import Segmenter
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.writers import open_cell_writer
from hpa_sdk.errors import HpaError, ModelFileError
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.files.atomic_write import atomic_write
from hpa_sdk.integrations.ray import (
    CALLS_A_DATASET,
    RayPredictor,
    actor_resources,
    count_slots,
    describe,
    load_in_actor,
    to_row,
    to_sample,
)
from hpa_sdk.labels import LabelScheme
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.prediction import Failure
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White

FIELDS_A_CALL = 8
"""Fields that an actor gets at once; fewer than without cells, since a field has hundreds of rows."""


def cells_dataset(
    fields: ray.data.Dataset,
    options: Mapping[str, Any],
    *,
    segmenter: Callable[[], Segmenter] | None = None,
    actors: int | None = None,
    cpus: int = 1,
) -> ray.data.Dataset:
    """Predict the cells of the fields of a dataset, lazily.

    Parameters
    ----------
    fields, options, actors, cpus
        As for `hpa_sdk.integrations.ray.predict_dataset`.
    segmenter : callable, optional
        Makes in each actor what finds the cells, such as ``partial(MaskFolder, Path("/shared/masks"))``. Default: the
        built-in segmentation.

    Returns
    -------
    ray.data.Dataset
        With the rows and columns of ``hpa cells -o cells.parquet``, in the order of `fields`. A field without cells, or
        one that failed, has one row with the reason in ``error``. Work that is lost with a node is repeated.

    Raises
    ------
    SettingError
        No node of the cluster has the resources for an actor, several models were given, or a reference that cells
        can't use.
    """
    resources = actor_resources(options, cpus)
    slots = count_slots(resources)  # before a node is asked, which would wait without end
    sha256, card, _ = ray.get(ray.remote(describe).remote(options["model"], options.get("card")))
    check_settings(card, sha256[1:], options.get("reference"))
    # An actor that starts hours later must not load another file.
    options = {**options, "sha256": options.get("sha256") or sha256}
    make = segmenter and partial(_call, segmenter)
    return _mapped(fields, _RowActor, (options, make, card.label_scheme), resources, actors or slots)


def _call(segmenter: Callable[[], Segmenter], _: Predictor) -> Segmenter:
    return segmenter()


def _mapped(
    fields: ray.data.Dataset, actor: type, arguments: tuple[Any, ...], resources: Mapping[str, int], most: int
) -> ray.data.Dataset:
    cells = fields.map_batches(
        actor,
        batch_size=FIELDS_A_CALL,
        batch_format="pyarrow",
        fn_constructor_args=arguments,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
    )
    cells.context.execution_options.preserve_order = True
    return cells


def write_cells(cells: ray.data.Dataset, path: Path) -> int:
    """Write the cells as one Parquet file of this machine, for `hpa report` and `hpa_sdk.cells.read_cells`.

    ``cells.write_parquet(folder)`` writes one file for each block instead, from all nodes at once.

    Parameters
    ----------
    cells : ray.data.Dataset
        What `cells_dataset` returns.
    path : pathlib.Path
        The file; it appears complete or not at all.

    Returns
    -------
    int
        Number of rows.

    Raises
    ------
    OutputError
        No file can be written there.
    """
    rows = 0
    with atomic_write(path) as partial:
        tables = iter(cells.iter_batches(batch_size=None, batch_format="pyarrow"))
        first = next(tables)
        with pyarrow.parquet.ParquetWriter(partial, first.schema) as file:
            for table in (first, *tables):
                file.write_table(table)
                rows += table.num_rows
    return rows


class RayCellPredictor(RayPredictor):
    """Predicts the cells of fields on a cluster, as `Predictor.cells` does on one machine. Made by its `load`."""

    def cells(
        self, sources: Iterable[Sample], /, *, segmenter: Segmenter, rules: FieldRules | None = None
    ) -> Iterator[CellAnswers | Failure]:
        """Predict the cells of samples in the order asked.

        Parameters
        ----------
        sources : iterable of Sample
            Samples of plain files, or of an archive.
        segmenter : Segmenter
            Finds the cells. Each actor gets a copy; a `NetworkSegmenter` is opened there from the same file.
        rules : FieldRules, optional
            As for `Predictor.cells`.

        Yields
        ------
        CellAnswers or Failure

        Raises
        ------
        SettingError
            Several models were loaded, or a reference was given that cells can't use.
        """
        check_settings(self.card, self.others, self._options.get("reference"))
        make: Callable[[Predictor], Segmenter] = partial(_same, segmenter)
        if isinstance(segmenter, NetworkSegmenter):
            # With the card in use, which may be another one than that in the file.
            make = partial(
                _open_network,
                segmenter.file,
                segmenter.card,
                segmenter.settings,
                segmenter.white,
                segmenter.fingerprint(""),
            )
        resources = actor_resources(self._options, self._cpus)
        samples = map(to_row, sources)
        calls = iter(lambda: list(islice(samples, FIELDS_A_CALL)), [])
        while some := [pa.Table.from_pylist(rows) for rows in islice(calls, CALLS_A_DATASET)]:
            answers = _mapped(
                ray.data.from_arrow(some),
                _AnswerActor,
                (self._options, make, rules),
                resources,
                self._actors or count_slots(resources),
            )
            for table in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from map(_unpacked, table["answer"].to_pylist())


def _same(segmenter: Segmenter, _: Predictor) -> Segmenter:
    return segmenter


def _open_network(
    path: Path,
    card: ModelCard,
    settings: SegmentationSettings,
    white: White | None,
    expected: str,
    predictor: Predictor,
) -> Segmenter:
    opened = NetworkSegmenter.load(path, device=predictor.device, white=white, card=card)
    segmenter = replace(opened, settings=settings)
    if segmenter.fingerprint("") != expected:
        raise ModelFileError(
            "the segmentation network is another file on this node, or was changed since the run began",
            where=path,
            remedy="Give all nodes the same file, and start again.",
        )
    return segmenter


class _CellActor:
    """Has its own session for its whole lifetime, because sessions can't be sent."""

    def __init__(
        self,
        options: Mapping[str, Any],
        make: Callable[[Predictor], Segmenter] | None,
        rules: FieldRules | None = None,
    ) -> None:
        self._rules = rules
        self._opened: tuple[Predictor, Segmenter] | HpaError
        predictor, self._channels = load_in_actor(options)
        if not isinstance(predictor, Predictor):
            self._opened = predictor
            return
        try:
            segmenter = (
                ClassicalSegmenter.of_model(predictor.card, rules, predictor.white) if make is None else make(predictor)
            )
        except ModelFileError as error:  # as `load_in_actor`: it costs the fields of this actor, and no run
            self._opened = error
            return
        self._opened = predictor, segmenter
        read = {*self._channels, *segmenter.channels}
        self._channels = tuple(channel for channel in Channel if channel.value in read)

    def _answers(self, fields: pa.Table) -> Iterator[CellAnswers | Failure]:
        samples = [to_sample(row, self._channels) for row in fields.to_pylist()]
        if isinstance(self._opened, HpaError):
            error = self._opened
            return (Failure(sample.id, error) for sample in samples)
        predictor, segmenter = self._opened
        return predictor.cells(samples, segmenter=segmenter, rules=self._rules)


class _RowActor(_CellActor):
    """Gives the rows of cells."""

    def __init__(
        self, options: Mapping[str, Any], make: Callable[[Predictor], Segmenter] | None, scheme: LabelScheme
    ) -> None:
        super().__init__(options, make)
        self._scheme = scheme

    def __call__(self, fields: pa.Table) -> pa.Table:
        # Through a file, so that the rows are those of `hpa cells` in every detail.
        with TemporaryDirectory() as folder:
            path = Path(folder) / "cells.parquet"
            with open_cell_writer(path, "parquet", self._scheme) as writer:
                for answers in self._answers(fields):
                    writer.write(answers)
            return pyarrow.parquet.read_table(path)


class _AnswerActor(_CellActor):
    """Gives the answers whole, with the label images."""

    def __call__(self, fields: pa.Table) -> pa.Table:
        return pa.table({"answer": pa.array(map(_packed, self._answers(fields)), pa.large_binary())})


@dataclass(frozen=True, slots=True)
class _Packed:
    """Answers whose label image and nuclei are packed."""

    answers: CellAnswers
    labels: bytes
    nuclei: bytes | None
    shape: tuple[int, int]


def _packed(answer: CellAnswers | Failure) -> bytes:
    if isinstance(answer, Failure):
        return pickle.dumps(answer)
    found = answer.segmentation
    height, width = found.labels.shape
    rest = replace(answer, segmentation=replace(found, labels=np.zeros((0, 0), np.int32), nuclei=None))
    nuclei = None if found.nuclei is None else pack_mask(found.nuclei)
    return pickle.dumps(_Packed(rest, pack_labels(found.labels), nuclei, (height, width)))


def _unpacked(content: bytes) -> CellAnswers | Failure:
    found: _Packed | Failure = pickle.loads(content)  # noqa: S301 - made by this run, which sends its own code as pickles too
    if isinstance(found, Failure):
        return found
    segmentation = replace(
        found.answers.segmentation,
        labels=unpack_labels(found.labels, found.shape),
        nuclei=None if found.nuclei is None else unpack_mask(found.nuclei, found.shape),
    )
    return replace(found.answers, segmentation=segmentation)
