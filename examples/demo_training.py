"""The whole main workflow, command by command: simulate, fit, export, predict, compare.

    python examples/demo.py --out runs/demo --steps 2

Each line that starts with $ can be typed by hand.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from hpa_sdk import Label, Predictor
from hpa_sdk.fields.tables import read_columns

NETWORKS = {"resnet": "inception_resnet_v2", "vgg": "vgg16"}
THRESHOLD = 0.2
FIRST = 10
COMPARED = 64


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    parser.add_argument(
        "--steps", type=int, default=2, help="optimizer steps in each stage (the study: 2,000 and 15,000)"
    )
    parser.add_argument("--fields", type=int, default=80, help="simulated fields to fit on")
    options = parser.parse_args()
    out: Path = options.out
    fields, held_out = out / "fields", out / "held-out"
    for folder in (fields, held_out, *(out / name for name in NETWORKS)):
        shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()

    run("-m", "training", "simulate", fields, "--count", options.fields, "--seed", 1)
    run("-m", "training", "simulate", held_out, "--count", FIRST, "--seed", 2)
    for name, network in NETWORKS.items():
        model = out / f"{name}.onnx"
        run("-m", "training", "fit", fields, "--network", network, "--out", out / name, "--weights", "none",
            "--epochs", 1, "--steps", options.steps, "--validation-fields", 16)  # fmt: skip
        run("-m", "export", "onnx", out / name, "-o", model, "--count", min(COMPARED, options.fields))
        run("-m", "hpa_sdk.cli", "predict", model, held_out, "-o", out / f"{name}.csv", "--threshold", THRESHOLD)
    print_comparison(out, held_out)
    print(
        f"\nThe models: {out / 'resnet.onnx'} and {out / 'vgg.onnx'}; answers: {out / 'resnet.csv'}, {out / 'vgg.csv'}"
    )
    print(f"All of it took {time.monotonic() - start:.0f} s.")
    print(
        f"\nEach stage was {options.steps} steps of 10 simulated fields, from random weights; the study's are 2,000 and"
        "\n15,000 steps, from ImageNet weights. So short a fit makes no biology: it shows that every part works, on the"
        "\nreal networks and real files, and that the ONNX files answer as the trained networks do."
    )


def run(*arguments: object) -> None:
    """Print a command and run it with this Python."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ python {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, *words], check=True)


def print_comparison(out: Path, held_out: Path) -> None:
    """Print the first held-out fields like the study's last table: both networks' sets, then the truth."""
    truth = {sample_id: target for _, (sample_id, target) in read_columns(held_out / "train.csv", "Id", "Target")}
    sets = {
        name: Predictor.load(out / f"{name}.onnx", threshold=THRESHOLD).predict(held_out / "train.csv")
        for name in NETWORKS
    }
    print(f"\nThe first {FIRST} held-out fields: classes with a probability of {THRESHOLD} or more")
    for number, (resnet, vgg) in enumerate(zip(sets["resnet"][:FIRST], sets["vgg"][:FIRST], strict=True), start=1):
        print(f"{number:>3}  {resnet.id}")
        print(f"     Inception-ResNet-V2  {names(resnet)}")
        print(f"     VGG-16               {names(vgg)}")
        print(f"     truth                {names(Label(int(index)) for index in truth[resnet.id].split())}")


def names(labels: Iterable[Label]) -> str:
    """Format a label set as text."""
    found = [label.hpa_name for label in labels]
    return f"all {len(found)} classes" if len(found) == len(Label) else "; ".join(found) or "none"


if __name__ == "__main__":
    main()
