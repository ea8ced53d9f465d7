"""Shows how much a short fit loses by the running averages of batch normalization, which lag behind the weights.

    python -m benchmarks.batch_statistics RUN FIELDS HELD_OUT --out NEW_RUN

The means and variances of a fitted network are recomputed over its training fields (Wu and Johnson, "Rethinking 'Batch'
in BatchNorm", arXiv:2105.07576), and both networks are judged on held-out fields.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import click
import keras
import numpy as np
import numpy.typing as npt
from sklearn.metrics import f1_score, roc_auc_score

from hpa_sdk.fields.reading import read_planes
from hpa_sdk.fields.samples import Sample
from hpa_sdk.models.contract import RUN_CARD, RUN_NETWORK, RUN_RECORD
from hpa_sdk.models.model_card import STUDY_THRESHOLD
from hpa_sdk.preprocessing import Preprocessing
from training.data.dataset import Targets, read_dataset
from training.data.split import stratified_split
from training.fit.batch_statistics import take_statistics


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished fit with the stratified split")
    parser.add_argument("fields", type=Path, help="what it was fitted on")
    parser.add_argument("held_out", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="run folder to write, with the new averages")
    options = parser.parse_args()
    network = keras.saving.load_model(options.run / RUN_NETWORK, compile=False)
    fitted_on, held_out = read_dataset(options.fields), read_dataset(options.held_out)
    training, _ = stratified_split(fitted_on.targets)
    unseen = _images(held_out.samples)
    click.echo(f"as fitted:    {_judge(network, unseen, held_out.targets)}")
    take_statistics(network, _images(fitted_on.pick(training)))
    click.echo(f"new averages: {_judge(network, unseen, held_out.targets)}")
    options.out.mkdir(parents=True)
    network.save(options.out / RUN_NETWORK)
    for name in (RUN_CARD, RUN_RECORD):
        shutil.copyfile(options.run / name, options.out / name)


def _images(samples: tuple[Sample, ...]) -> npt.NDArray[np.float32]:
    preprocessing = Preprocessing()
    return np.stack([preprocessing(read_planes(sample)) for sample in samples])


def _judge(network: keras.Model, images: npt.NDArray[np.float32], targets: Targets) -> str:
    probabilities = network.predict(images, batch_size=8, verbose=0)
    present = probabilities >= STUDY_THRESHOLD
    occurring = np.flatnonzero(targets.any(axis=0) & ~targets.all(axis=0))
    areas = roc_auc_score(targets[:, occurring], probabilities[:, occurring], average=None)
    macro = f1_score(targets[:, occurring], present[:, occurring], average="macro", zero_division=0)
    return (
        f"micro F1 {f1_score(targets, present, average='micro'):.4f}, macro F1 {macro:.4f} at {STUDY_THRESHOLD},"
        f" area under the ROC curve {', '.join(f'{area:.3f}' for area in areas)},"
        f" {len(np.unique(present, axis=0))} different label sets on {len(images)} fields"
    )


if __name__ == "__main__":
    main()
