"""Pictures show the figures that they are given; the tests check what is drawn."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from hpa_sdk.errors import OutputError
from hpa_sdk.labels import Label
from tests.small import make_field
from training.data.batches import FieldBatches
from training.data.prepared import DecodedImages
from training.errors import RunError
from training.fit import plots as fit_pictures
from training.fit.plots import draw_history, draw_training_images
from training.judge import plots as pictures
from training.judge.evaluation import Evaluation, judge_fields
from training.judge.metrics import RECALLS
from training.judge.plots import draw_label_pairs, draw_precision_recall, draw_reliability, picture

HEADER = "epoch,batch_f1,binary_accuracy,loss,val_batch_f1,val_binary_accuracy,val_loss"


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that a test draws, kept for a look at what is in them."""
    kept: list[Figure] = []

    @contextmanager
    def keeping(path: Path, *, width: float, height: float) -> Iterator[Figure]:
        with picture(path, width=width, height=height) as figure:
            kept.append(figure)
            yield figure

    for module in (pictures, fit_pictures):
        monkeypatch.setattr(module, "picture", keeping)
    return kept


@pytest.fixture
def evaluation() -> Evaluation:
    rng = np.random.default_rng(0)
    truth = (rng.random((60, len(Label))) < 0.2).astype(np.float32)
    truth[:, 9] = 0
    probabilities = np.clip(0.4 * truth + 0.6 * rng.random(truth.shape), 0, 1).astype(np.float32)
    return judge_fields(truth, probabilities, thresholds=(0.5,) * len(Label), data="d", temperature=2.0)


@pytest.mark.slow
def test_a_curve_a_class(evaluation: Evaluation, drawn: list[Figure], tmp_path: Path) -> None:
    draw_precision_recall(evaluation, tmp_path / "curves.png")
    (figure,) = drawn
    assert len(figure.axes) == len(Label)
    curve, share, dot = (line.get_xydata() for line in figure.axes[3].lines)
    figures = evaluation.classes[3]
    assert figures.precision_at_recall is not None
    np.testing.assert_array_equal(curve, np.column_stack([RECALLS, figures.precision_at_recall]))
    np.testing.assert_array_equal(np.asarray(share)[:, 1], figures.support / 60)
    assert np.asarray(dot).tolist() == [[figures.recall, figures.precision]]
    assert not figure.axes[9].lines
    assert [text.get_text() for text in figure.axes[9].texts] == ["no field has it"]


def test_shares_of_pairs_in_truth_and_as_predicted(evaluation: Evaluation, drawn: list[Figure], tmp_path: Path) -> None:
    draw_label_pairs(evaluation, tmp_path / "pairs.png")
    truth, predicted = drawn[0].axes[:2]
    for axes, pairs in ((truth, evaluation.pairs), (predicted, evaluation.predicted_pairs)):
        shown = np.asarray(axes.images[0].get_array())
        assert shown[2, 5] == pytest.approx(pairs[2][5] / pairs[2][2])
    labels = [text.get_text() for text in truth.get_yticklabels()]
    assert labels[2] == f"Nucleoli 2 ({evaluation.pairs[2][2]})"
    assert labels[9] == "Endosomes 9 (0)"


def test_reliability_before_and_after(evaluation: Evaluation, drawn: list[Figure], tmp_path: Path) -> None:
    draw_reliability(evaluation, tmp_path / "reliability.png")
    upper, _ = drawn[0].axes
    _, before, after = upper.lines
    for line, reliability in zip((before, after), evaluation.reliability, strict=True):
        assert f"temperature {reliability.temperature:.2f}" in str(line.get_label())
        filled = [found for found in reliability.bins if found.decisions]
        np.testing.assert_array_equal(line.get_xdata(), [found.mean_probability for found in filled])
        np.testing.assert_array_equal(line.get_ydata(), [found.frequency for found in filled])


def test_the_history_in_three_panels(drawn: list[Figure], tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    history.write_text(f"{HEADER}\n0,0.1,0.9,0.5,0.2,0.91,190\n1,0.3,0.92,0.25,NA,0.93,0.4\n", encoding="utf-8")
    draw_history(history, tmp_path / "history.png")
    loss, f1, accuracy = drawn[0].axes
    assert [axes.get_yscale() for axes in (loss, f1, accuracy)] == ["log", "linear", "linear"]
    shown = [np.asarray(line.get_xydata()) for axes in (loss, f1, accuracy) for line in axes.lines]
    expected = [[0.5, 0.25], [190, 0.4], [0.1, 0.3], [0.2, np.nan], [0.9, 0.92], [0.91, 0.93]]
    for points, wanted in zip(shown, expected, strict=True):
        np.testing.assert_array_equal(points, np.column_stack([(1, 2), wanted]))


@pytest.mark.parametrize(
    ("text", "message"),
    [(f"{HEADER}\n", "no row"), ("epoch,loss\n0,1\n", "no column"), (None, "can't be read")],
)
def test_a_history_that_is_none_is_refused(tmp_path: Path, text: str | None, message: str) -> None:
    history = tmp_path / "history.csv"
    if text is not None:
        history.write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=message):
        draw_history(history, tmp_path / "history.png")
    assert not (tmp_path / "history.png").exists()


@pytest.mark.slow
def test_fifty_augmented_images_with_their_classes(drawn: list[Figure], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    samples = tuple(make_field(tmp_path / "fields", f"f{number}", rng) for number in range(2))
    targets = np.zeros((2, len(Label)), np.float32)
    targets[0, [0, 16]] = targets[1, 27] = 1
    batches = FieldBatches(DecodedImages(samples), targets, batch_size=7, steps=8, augmentation="study", seed=0)
    draw_training_images(batches, tmp_path / "images.png")
    (axes,) = drawn[0].axes
    mosaic = np.asarray(axes.images[0].get_array())
    rows, columns = (np.arange(0, side, side // count) for side, count in zip(mosaic.shape, (10, 5), strict=False))
    captions = [text.get_text() for text in axes.texts]
    shown = [mosaic[row:, column:][: rows[1], : columns[1]] for row in rows for column in columns]
    for at in range(50):
        images, truth = batches[at // 7]
        np.testing.assert_array_equal(shown[at][-299:, 6:-6], images[at % 7])
        assert captions[at] == ("0 16" if truth[at % 7, 0] else "27")


def test_a_picture_is_written_whole_and_changes_no_setting(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    path = tmp_path / "bild ü.png"
    with picture(path, width=2, height=1) as figure:
        figure.subplots().plot((0, 1))
        assert not path.exists()
    with Image.open(path) as found:
        assert found.format == "PNG"
        assert found.width == 2 * found.height
    kept = path.read_bytes()
    with pytest.raises(ZeroDivisionError), picture(path, width=1, height=1):
        _ = 1 / 0
    assert path.read_bytes() == kept
    assert dict(mpl.rcParams) == before
    with (
        pytest.raises(OutputError, match="no file can be written"),
        picture(tmp_path / "gone" / "x.png", width=1, height=1),
    ):
        pass
