"""The card of a fit is of the network as it is served: one view of each field."""

import json
from pathlib import Path

import keras
import pytest
from click.testing import CliRunner

from hpa_sdk.models.model_card import ModelCard
from tests.training.small_fit import build_small_network
from training.__main__ import main
from training.fit import fit as fit_module

pytestmark = pytest.mark.slow


def test_the_card_has_evaluate_s_figures_and_the_run_s_revision(
    simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    revisions = ["while it is fitted"]

    def build(name: str, *, weights: object = None) -> keras.Model:
        revisions.append("of a later commit")
        return build_small_network(name, weights=weights)

    monkeypatch.setattr(fit_module, "code_revision", lambda: revisions[-1])
    monkeypatch.setattr(fit_module, "build_network", build)
    run = tmp_path / "run"
    sizes = "--epochs 2 --steps 3 --batch-size 4 --validation-fields 8 --statistics-fields 8 --precision float32"
    arguments = ["--network", "vgg16", "--recipe", "strong", "--weights", "none", *sizes.split(), "--out", str(run)]
    result = CliRunner().invoke(main, ["fit", str(simulated), *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    card = ModelCard.from_json((run / "card.json").read_bytes())
    metrics = card.metrics
    assert metrics is not None
    assert card.training.code_revision == revisions[0]

    def evaluated(*options: str) -> dict[str, object]:
        result = CliRunner().invoke(main, ["evaluate", str(run), str(simulated), "--part", "validation", *options])
        assert result.exit_code == 0, result.output
        evaluation: dict[str, object] = json.loads(result.stdout)["evaluation"]
        return evaluation

    served, averaged = evaluated("--json"), evaluated("--json", "--views", "8")
    assert served["micro"]["f1"] == pytest.approx(metrics.micro_f1, abs=1e-9)  # type: ignore[index]
    assert served["macro"]["f1"] == pytest.approx(metrics.macro_f1, abs=1e-9)  # type: ignore[index]
    assert served["data"] == metrics.data
    # Otherwise this would show nothing.
    assert averaged["micro"] != served["micro"]
