"""The way of a network, command by command: simulate, fit, export, compare; with both networks of the study.

    python examples/demo_training.py --out runs/demo-training --steps 2

A few steps from random weights train no network, so no label sets are printed: what is shown is that the ONNX files
answer as the fitted networks do. Each line that starts with $ can be typed by hand.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

from hpa_sdk import Predictor
from hpa_sdk.errors import count_of

NETWORKS = {"resnet": "inception_resnet_v2", "vgg": "vgg16"}
FIELDS = 64


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo-training"))
    parser.add_argument(
        "--steps", type=int, default=2, help="optimizer steps in each stage (the study: 2,000 and 15,000)"
    )
    options = parser.parse_args()
    out: Path = options.out
    fields = out / "fields"
    for folder in (fields, *(out / name for name in NETWORKS)):
        shutil.rmtree(folder, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()

    run("training", "simulate", fields, "--count", FIELDS, "--seed", 1)
    for name, network in NETWORKS.items():
        run("training", "fit", fields, "--network", network, "--out", out / name, "--weights", "none",
            "--epochs", 1, "--steps", options.steps, "--validation-fields", 16)  # fmt: skip
        run("export", "onnx", out / name, "-o", out / f"{name}.onnx", "--count", FIELDS)
    print_comparison(out)
    print(f"\nAll of it took {time.monotonic() - start:.0f} s.")
    print(
        f"\nEach stage was {count_of(options.steps, 'step')} of 10 simulated fields, from random weights; the study's"
        "\nare 2,000 and 15,000 steps, from ImageNet weights. The answers of these two files mean nothing."
        "\ndocs/train.md shows how to fit a network whose answers do."
    )


def run(*arguments: object) -> None:
    """Print a command and run it with this Python. If it fails, its own message is the last one."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ python -m {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def print_comparison(out: Path) -> None:
    """Print what the two networks are, and how far each ONNX file is from its network."""
    from training.judge.fitted_run import read_run  # noqa: PLC0415 - keeps a gigabyte that the fits need

    print(f"\n{'':<36}" + "".join(f"{network:>22}" for network in NETWORKS.values()))
    parameters, sizes, fields, differences, sets = [], [], [], [], []
    for name in NETWORKS:
        model = out / f"{name}.onnx"
        parity = Predictor.load(model, device="cpu", verify=True).card.parity
        if parity is None:
            sys.exit(f"{model}: the export compared no fields.")
        parameters.append(f"{read_run(out / name).network.count_params():,}")
        sizes.append(f"{model.stat().st_size / 1e6:.1f} MB")
        fields.append(f"{parity.samples}")
        differences.append(f"{parity.max_difference:.1e}")
        sets.append(f"{round(parity.same_label_sets * parity.samples)} of {parity.samples}")
    for text, row in (
        ("parameters", parameters),
        ("ONNX file, verified", sizes),
        ("fields that Keras and ONNX answered", fields),
        ("largest difference of a probability", differences),
        ("equal label sets of Keras and ONNX", sets),
    ):
        print(f"{text:<36}" + "".join(f"{cell:>22}" for cell in row))


if __name__ == "__main__":
    main()
