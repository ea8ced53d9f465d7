"""Distributes prediction over a Ray cluster: fields as a dataset, one actor per GPU or group of cores."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import ray
import ray.data

from hpa_sdk.errors import HpaError, ModelFileError, SettingError
from hpa_sdk.fields.remote.archive import is_address
from hpa_sdk.fields.remote.fields import RemoteField
from hpa_sdk.fields.samples import Channel, PlaneSource, Sample
from hpa_sdk.files.file_state import FileStamp, FileState, escaped
from hpa_sdk.labels import HPA_2018
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent, ModelIdentity
from hpa_sdk.models.model_names import resolve_model
from hpa_sdk.prediction import Failure, Prediction
from hpa_sdk.predictor import Predictor
from hpa_sdk.preprocessing import White
from hpa_sdk.quality.quality import Quality

FIELDS_A_CALL = 64
"""Fields that an actor gets at once; they are repeated if its node dies."""

CALLS_A_DATASET = 800
"""Calls of one dataset of `RayPredictor.stream`, which bounds the driver's memory."""

_FILE = pa.struct(
    [
        ("path", pa.string()),
        *((name, pa.int64()) for name in ("size", "modified", "inode", "changed")),
        ("sha256", pa.string()),
    ]
)


def answer_schema(card: ModelCard, embedding_width: int) -> pa.Schema:
    """Return the columns of answers.

    A field that failed has its reason in error, where and remedy, and nulls elsewhere. Each of a field's files has its
    path, and its stamp with the fields of `hpa_sdk.files.file_state.FileStamp`.

    Parameters
    ----------
    card : ModelCard
        Gives the number of classes and of channels.
    embedding_width : int
        Width of the embedding; 0 for a model without one, and -1 if its file leaves it open.
    """
    return pa.schema(
        [
            ("id", pa.string()),
            ("labels", pa.list_(pa.string())),
            ("indices", pa.list_(pa.int8() if card.label_scheme == HPA_2018 else pa.int16())),
            *(("error", pa.string()), ("where", pa.string()), ("remedy", pa.string())),
            ("probabilities", pa.list_(pa.float32(), len(card.labels))),
            ("embedding", pa.list_(pa.float32(), embedding_width)),
            ("white", pa.list_(pa.float32(), len(card.preprocessing.channels))),
            ("files", pa.list_(_FILE)),
            ("notes", pa.list_(pa.string())),
            ("channels", pa.list_(pa.string())),
            ("warnings", pa.list_(pa.string())),
            ("quality", pa.string()),
            ("deviations", pa.list_(pa.float32())),
        ]
    )


def predict_dataset(
    fields: ray.data.Dataset, options: Mapping[str, Any], *, actors: int | None = None, cpus: int = 1
) -> ray.data.Dataset:
    """Predict the fields of a dataset, lazily.

    Parameters
    ----------
    fields : ray.data.Dataset
        With the columns id, and files: the four planes of a field in the order red, green, blue, yellow, each a path
        that every node can read or an address such as ``s3://bucket/0007_red.png``; text, or bytes if it is not valid
        text.
    options : mapping of str to object
        What `Predictor.load` takes, and the model's path as ``model``: one that every node can read, or several. Every
        actor checks the files against the SHA-256 ``sha256``. Default: those of the files that a node reads now.
    actors : int, optional
        How many predict at the same time. Default: as many as the cluster has resources for.
    cpus : int
        Cores of an actor; an actor for a GPU also gets one GPU.

    Returns
    -------
    ray.data.Dataset
        With the columns of `answer_schema`, in the order of `fields`. Work that is lost with a node is repeated.

    Raises
    ------
    SettingError
        No node of the cluster has the resources for an actor.
    """
    count_slots(actor_resources(options, cpus))  # before a node is asked, which would wait without end
    sha256, _, schema = ray.get(ray.remote(describe).remote(options["model"], options.get("card")))
    # An actor that starts hours later must not load another file.
    options = {**options, "sha256": options.get("sha256") or sha256}
    return _predict_dataset(fields, options, schema, actors=actors, cpus=cpus)


def _predict_dataset(
    fields: ray.data.Dataset, options: Mapping[str, Any], schema: pa.Schema, *, actors: int | None, cpus: int
) -> ray.data.Dataset:
    resources = actor_resources(options, cpus)
    most = actors or count_slots(resources)
    answers = fields.map_batches(
        _FieldActor,
        batch_size=FIELDS_A_CALL,
        batch_format="pyarrow",
        fn_constructor_args=(dict(options), schema),
        # One actor is enough to continue: the others return as soon as there are resources.
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most),
        num_cpus=resources["CPU"],
        num_gpus=resources["GPU"],
    )
    answers.context.execution_options.preserve_order = True
    return answers


class RayPredictor:
    """Predicts on a cluster what `Predictor` predicts on one machine. Made by `RayPredictor.load`.

    Attributes
    ----------
    card, thresholds, model, others, white, runtime_options, calibrated, views
        As of a `Predictor`.
    """

    def __init__(
        self,
        options: Mapping[str, Any],
        models: Sequence[tuple[ModelIdentity, ModelCard]],
        *,
        thresholds: npt.NDArray[np.float32],
        device: str,
        actors: int | None,
        cpus: int,
    ) -> None:
        (self.model, self.card), *self.others = models
        self.thresholds = thresholds
        self.device = device
        self.white: White | None = options.get("white")
        self.runtime_options: Mapping[str, str] = options.get("runtime_options") or {}
        self.calibrated = bool(options.get("calibrated"))
        self.views: int = options.get("views", 1)
        self._options = {**options, "sha256": [model.sha256 for model, _ in models]}
        # With an open width: the file, which would say it, was read once, and can be gone when a dataset begins.
        self._schema = answer_schema(self.card, -1)
        self._actors = actors
        self._cpus = cpus

    @classmethod
    def load(
        cls,
        model: Path | Sequence[Path],
        *,
        actors: int | None = None,
        threads: int | None = None,
        **options: Any,  # noqa: ANN401 - those of Predictor.load, each of its own type
    ) -> RayPredictor:
        """Open a model on the cluster that Ray's own settings name, or else on a cluster of this machine.

        Parameters
        ----------
        model : pathlib.Path or sequence of pathlib.Path
            The model file, under a path that every node can read; or several, as for `Predictor.load`.
        actors : int, optional
            As for `predict_dataset`.
        threads : int, optional
            Cores of an actor. Default: 1.
        **options
            As for `Predictor.load`.

        Raises
        ------
        HpaError
            As for `Predictor.load`, from the node that tried it first; or no node has the resources for an actor.
        """
        if not ray.is_initialized():
            ray.init(log_to_driver=False)
        cpus = threads or 1
        names = [model] if isinstance(model, (str, os.PathLike)) else model
        options |= {"threads": cpus, "model": [str(resolve_model(name).path.resolve()) for name in names]}
        resources = actor_resources(options, cpus)
        count_slots(resources)
        look = ray.remote(num_cpus=resources["CPU"], num_gpus=resources["GPU"])(_look)
        try:
            found, thresholds, device = ray.get(look.remote(options))
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, HpaError):
                raise error.cause from None
            raise
        models = [
            (ModelIdentity(sha256, Path(path)), card)
            for path, (sha256, card) in zip(options["model"], found, strict=True)
        ]
        return cls(options, models, thresholds=thresholds, device=device, actors=actors, cpus=cpus)

    def stream(self, sources: Iterable[Sample]) -> Iterator[Prediction | Failure]:
        """Predict samples in the order asked.

        Parameters
        ----------
        sources : iterable of Sample
            Samples of plain files, or of an archive.

        Yields
        ------
        Prediction or Failure
        """
        samples = map(to_row, sources)
        calls = iter(lambda: list(islice(samples, FIELDS_A_CALL)), [])
        while some := [pa.Table.from_pylist(rows) for rows in islice(calls, CALLS_A_DATASET)]:
            fields = ray.data.from_arrow(some)
            answers = _predict_dataset(fields, self._options, self._schema, actors=self._actors, cpus=self._cpus)
            for table in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
                yield from self._answers(table)

    def _answers(self, table: pa.Table) -> Iterator[Prediction | Failure]:
        arrays = [_predicted(table, name) for name in ("probabilities", "embedding", "white")]
        rows = zip(*arrays, strict=True)
        for row in table.select(
            ["id", "error", "where", "remedy", "files", "notes", "channels", "quality", "deviations"]
        ).to_pylist():
            if row["error"] is not None:
                yield Failure(row["id"], HpaError(row["error"], where=row["where"], remedy=row["remedy"]))
            else:
                probabilities, embedding, white = next(rows)
                yield Prediction.from_probabilities(
                    probabilities,
                    id=row["id"],
                    thresholds=self.thresholds,
                    embedding=embedding,
                    white=white,
                    files=tuple(FileState(file.pop("path"), FileStamp(**file)) for file in row["files"]),
                    notes=tuple(row["notes"]),
                    scheme=self.card.label_scheme,
                    channels=tuple(row["channels"]),
                    quality=row["quality"] and msgspec.json.decode(row["quality"], type=Quality),
                    deviations=np.array(row["deviations"], np.float32),
                )


def load_in_actor(options: Mapping[str, Any]) -> tuple[Predictor | ModelFileError, tuple[Channel, ...]]:
    """Open the model on a node; return the predictor and its channels.

    If the file can't be used there, such as another file under the model's path, the error comes instead: the fields
    of this actor fail, not the run.
    """
    try:
        predictor = Predictor.load(**options)
    except ModelFileError as error:
        return error, tuple(Channel)
    return predictor, tuple(map(Channel, predictor.card.preprocessing.channels))


class _FieldActor:
    """Has its own session for its whole lifetime, because sessions can't be sent."""

    def __init__(self, options: Mapping[str, Any], schema: pa.Schema) -> None:
        self._schema = schema
        self._predictor, self._channels = load_in_actor(options)

    def __call__(self, fields: pa.Table) -> pa.Table:
        samples = [to_sample(row, self._channels) for row in fields.to_pylist()]
        return pa.Table.from_pylist([_to_answer(each) for each in self._answers(samples)], self._schema)

    def _answers(self, samples: list[Sample]) -> Iterator[Prediction | Failure]:
        if isinstance(self._predictor, Predictor):
            return self._predictor.stream(samples)
        error = self._predictor
        return (Failure(sample.id, error) for sample in samples)


def _look(options: Mapping[str, Any]) -> tuple[list[tuple[str, ModelCard]], npt.NDArray[np.float32], str]:
    with Predictor.load(**options) as predictor:
        models = ((predictor.model, predictor.card), *predictor.others)
        return [(model.sha256, card) for model, card in models], predictor.thresholds, predictor.device


def describe(models: str | Sequence[str], card: ModelCard | None) -> tuple[list[str], ModelCard, pa.Schema]:
    """Return the SHA-256 of each model, the card of the first, and the columns of answers for fields."""
    first, *others = map(ModelContent.read, map(Path, [models] if isinstance(models, str) else models))
    file, card = read_model(first, card)
    width = 0 if card.tensors.embedding is None else file.outputs[card.tensors.embedding].shape[-1]
    hashes = [content.identity.sha256 for content in (first, *others)]
    return hashes, card, answer_schema(card, width if isinstance(width, int) else -1)


def actor_resources(options: Mapping[str, Any], cpus: int) -> dict[str, int]:
    """Return what an actor needs, by Ray's names."""
    on_gpu = str(options.get("device", "auto")).partition(":")[0] in {"cuda", "tensorrt"}
    return {"CPU": cpus, "GPU": int(on_gpu)}


def count_slots(resources: Mapping[str, int]) -> int:
    """Count the actors that the nodes have resources for; Ray would wait without end for the first."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    slots = sum(min(int(node.get(kind, 0) // need) for kind, need in resources.items() if need) for node in nodes)
    if not slots:
        raise SettingError(
            f"no node of the cluster has room for an actor ({resources['CPU']} cores, {resources['GPU']} GPUs)",
            remedy="Start a node that has, or ask for fewer --threads or another --device.",
        )
    return slots


def to_row(sample: Sample) -> dict[str, Any]:
    """Return the row of a sample in a dataset of fields: see `to_sample`."""
    files: Iterable[str | Path] = (file.absolute() for file in sample.files)
    stamp, source = None, b""
    if isinstance(sample.source, RemoteField):
        files, stamp = sample.source.addresses, sample.source.expected
    elif sample.source is not None:
        source = pickle.dumps(sample.source)
    # As bytes: a file name on Linux may not be valid Unicode, and a column of text would refuse all of its rows.
    return {
        "id": os.fsencode(sample.id),
        "files": list(map(os.fsencode, files)),
        "stamp": stamp,
        "note": sample.note,
        "source": source,
        "problem": b"" if sample.problem is None else pickle.dumps(sample.problem),
    }


def to_sample(row: Mapping[str, Any], channels: Sequence[Channel]) -> Sample:
    """Return the sample of a row of a dataset of fields, for a model that takes these channels."""
    files = tuple(map(os.fsdecode, row["files"]))
    source: PlaneSource | None = None
    if is_address(files[0]):
        read = tuple(channel for channel in Channel if channel in channels)
        # A dataset of the caller names the planes of all channels.
        addresses = tuple(files[list(Channel).index(channel)] for channel in read) if len(files) > len(read) else files
        source = RemoteField(addresses, row.get("stamp"), read)
    elif row.get("source"):  # a caller's dataset has the columns id and files only
        source = pickle.loads(row["source"])  # noqa: S301 - made by this run, which sends its own code as pickles too
    problem = pickle.loads(row["problem"]) if row.get("problem") else None  # noqa: S301 - as above
    return Sample(os.fsdecode(row["id"]), tuple(map(Path, files)), source, row.get("note") or "", problem)


def _to_answer(answer: Prediction | Failure) -> dict[str, Any]:
    sample_id = escaped(answer.id)  # as in a file of answers
    if isinstance(answer, Failure):
        error = answer.error
        parts = {"error": error.what, "where": error.where, "remedy": error.remedy}
        return {"id": sample_id} | {name: text and escaped(text) for name, text in parts.items()}
    return {
        "id": sample_id,
        "labels": [label.hpa_name for label in answer],
        "indices": [int(label) for label in answer],
        "probabilities": answer.probabilities,
        "embedding": answer.embedding,
        "white": answer.white,
        "files": [{"path": escaped(file.path), **file.stamp._asdict()} for file in answer.files],
        "notes": list(answer.notes),
        "channels": list(map(escaped, answer.channels)),
        "warnings": list(answer.warnings),
        "quality": None if answer.quality is None else msgspec.json.encode(answer.quality).decode(),
        "deviations": answer.deviations,
    }


def _predicted(table: pa.Table, column: str) -> npt.NDArray[np.float32]:
    rows = table[column].combine_chunks().drop_null()
    flat: npt.NDArray[np.float32] = rows.flatten().to_numpy(zero_copy_only=False)
    return flat.reshape(len(rows), -1 if len(flat) else 0)
