"""What the tests of reports share: results of a small model for small fields, and a report of all that there is."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk import Predictor, Sample
from hpa_sdk.errors import PlaneError
from hpa_sdk.labels import Label
from hpa_sdk.prediction import Failure
from hpa_sdk.report.build import Sources, make_report
from hpa_sdk.results.writers import open_writer
from tests.small import make_field, make_model

HOSTILE = "evil</script><img src=x onerror=alert(1)>"
COUNT = 70


@pytest.fixture
def results(model: Path, fields: list[Sample], tmp_path: Path) -> Path:
    """What predict writes for five fields, of which the second failed."""
    path = tmp_path / "results.jsonl"
    write_results(path, model, fields, failed="field-1")
    return path


def write_results(path: Path, model: Path, fields: list[Sample], *, failed: str = "") -> None:
    """Predict fields to a file."""
    error = PlaneError("the plane is damaged", where="somewhere", remedy="Copy it again.")
    predictor = Predictor.load(model, device="cpu")
    with open_writer(path, path.suffix[1:], predictor.card.label_scheme) as writer:
        for prediction in predictor.predict(fields):
            writer.write(Failure(failed, error) if prediction.id == failed else prediction)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of seventy fields with everything in it: truth, a failure, a lost plane, and a name that is hostile."""
    folder = tmp_path_factory.mktemp("report")
    rng = np.random.default_rng(5)
    model = make_model(folder / "small.onnx", name=HOSTILE)
    fields = [make_field(folder / "planes", f"field-{number:02}", rng) for number in range(COUNT)]
    results = folder / "results.csv"
    write_results(results, model, fields, failed="field-01")
    fields[2].files[0].unlink()
    with (folder / "train.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["Id", "Target"])
        rows.writerows(
            [sample.id, f"{int(Label.NUCLEOLI)} {int(Label.CYTOSOL)}"] for sample in fields if sample.id != "field-01"
        )
    page = folder / "report.html"
    sources = Sources(results=results, planes=[folder / "planes"], truth=folder / "train.csv", model=model)
    make_report(sources, page=page)
    return page
