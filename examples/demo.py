"""A first look: predicts a dozen simulated fields with the starter model, and shows the answers beside the truth.

    python examples/demo.py --out runs/demo

It needs hpa_sdk with a runtime and nothing else. Each line that starts with $ can be typed by hand. ``python -m
benchmarks.readme`` puts its output and its picture into the README.
"""

from __future__ import annotations

import argparse
import csv
import shlex
import subprocess
import sys
import time
from pathlib import Path

from hpa_sdk import Label


def near(path: Path) -> Path:
    """Return a path as it is typed: from this folder, if it is below it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


FIELDS = near(Path(__file__).parent / "fields")
TABLE = FIELDS / "train.csv"


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/demo"))
    out: Path = parser.parse_args().out
    # A terminal may lack the letters of a folder's name.
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    start = time.monotonic()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        sys.exit(f"{out}: the folder for the results can't be made ({error.strerror}). Name another one with --out.")

    results, report, picture = out / "results.csv", out / "report.html", out / "fields.png"
    run("predict", "starter", FIELDS, "-o", results)
    run("report", results, "--truth", TABLE, "-o", report, "--contact-sheet", picture)
    print_comparison(results)
    print(f"\nThe answers are in {results}, a report is {report}, a picture is {picture}.")
    print(f"The work took {time.monotonic() - start:.0f} s.")
    print(f"""
What next
  Open {report} in a browser.
  Predict fields of your own (docs/reading.md):
    {hpa()} predict starter FOLDER -o results.csv
  Use another model than this small one (docs/models.md):
    {hpa()} models list
  See how networks are fitted, exported and compared:
    make demo-training""")


def run(*arguments: object) -> None:
    """Print a command of ``hpa`` and run it with this Python. If it fails, its own message is the last one."""
    words = [str(argument) for argument in arguments]
    print(f"\n$ {hpa()} {shlex.join(words)}", flush=True)
    done = subprocess.run([sys.executable, "-m", "hpa_sdk.cli", *words], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def hpa() -> str:
    """Return the command as it is typed: with its folder if it is not on the path."""
    beside = Path(sys.executable).with_name("hpa.exe" if sys.platform == "win32" else "hpa")
    return str(near(beside)) if beside.exists() else "python -m hpa_sdk.cli"


def print_comparison(results: Path) -> None:
    """Print the label set of each field beside the true one."""
    found, truth = read(results, "id", "indices"), read(TABLE, "Id", "Target")
    print(f"\nThe cells are simulated: drawings, with a truth that is known.\n\n{'field':<10}{'found':<50}truth")
    sets = given = missed = wrong = 0
    for field, labels in truth.items():
        answer, right = set(found[field].split()), set(labels.split())
        sets, given = sets + (answer == right), given + len(right)
        missed, wrong = missed + len(right - answer), wrong + len(answer - right)
        print(f"{field[:8]:<10}{names(found[field]):<50}{names(labels)}")
    print(
        f"\n{sets} of {len(truth)} label sets are those of the truth."
        f" Of {given} true labels {given - missed} were found; wrong labels: {wrong}."
    )


def read(table: Path, key: str, value: str) -> dict[str, str]:
    """Read two columns of a table."""
    with table.open(encoding="utf-8", newline="") as file:
        return {row[key]: row[value] for row in csv.DictReader(file)}


def names(indices: str) -> str:
    """Format a label set as text."""
    return "; ".join(Label(int(index)).hpa_name for index in indices.split()) or "none"


if __name__ == "__main__":
    main()
