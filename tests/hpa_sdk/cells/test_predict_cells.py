"""Each cell gets the answer that its pixels alone get, in full batches, and a bad field costs no other its answers."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from hpa_sdk import Failure, FieldRules, ModelCard, Prediction, Predictor, Sample
from hpa_sdk.cells import CellAnswers, ClassicalSegmenter, MaskFolder, Segmentation
from hpa_sdk.cells.label_image import write_label_image
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.errors import PlaneError, SettingError
from hpa_sdk.fields.reading import read_planes
from hpa_sdk.models.network_form import CellCrop
from hpa_sdk.preprocessing import Preprocessing
from hpa_sdk.quality.limits import Limits
from hpa_sdk.quality.reference import Reference, learn_spread
from tests.hpa_sdk.cells.made_fields import FOUR, PIXEL, draw
from tests.hpa_sdk.workstation.written import write_ome_tiff
from tests.session_spy import spied
from tests.small import CARD, make_model, write_planes

SIDE = 96


@dataclass(frozen=True)
class Known:
    """A segmenter that knows the label image of each field."""

    labels: dict[str, npt.NDArray[np.int32]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()

    def segment(self, planes: np.ndarray, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002, ARG002
        if id not in self.labels:
            raise PlaneError("nothing is known of it", where=id, remedy="Look.")
        labels = self.labels[id]
        return Segmentation(
            labels=labels, cells=cells_of(labels, pixel_size), pixel_size=pixel_size, source="known", notes=()
        )

    def fingerprint(self, id: str) -> str:  # noqa: A002
        return id


def two_cells(side: int = SIDE) -> npt.NDArray[np.int32]:
    labels = np.zeros((side, side), np.int32)
    labels[10:40, 5:35] = 3
    labels[20:30, 20:60] = 7
    labels[side - 20 :, side - 30 :] = 8
    return labels


def noise(seed: int = 0, dtype: type = np.uint8, side: int = SIDE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max, (4, side, side)).astype(dtype)


def only(answers: Iterable[CellAnswers | Failure]) -> CellAnswers:
    (answer,) = answers
    assert isinstance(answer, CellAnswers)
    return answer


def assert_same(answers: Iterable[Prediction | Failure], expected: Iterable[Prediction]) -> None:
    for answer, one in zip(answers, expected, strict=True):
        assert isinstance(answer, Prediction)
        assert answer.probabilities == pytest.approx(one.probabilities, abs=1e-6)
        assert answer.embedding == pytest.approx(one.embedding, abs=1e-4)


@pytest.mark.parametrize(("dtype", "white"), [(np.uint8, None), (np.uint16, 4095), (np.uint16, "dtype")])
def test_a_cell_has_the_answer_of_its_pixels_alone(model: Path, dtype: type, white: float | str | None) -> None:
    planes, labels = noise(dtype=dtype), two_cells()
    with Predictor.load(model, device="cpu", white=white) as predictor:  # type: ignore[arg-type]
        answer = only(predictor.cells(planes, segmenter=Known({"0": labels})))
        masked: list[np.ndarray] = [np.where(labels == number, planes, 0).astype(dtype) for number in (3, 7, 8)]
        assert_same(answer.answers, predictor.predict_planes(masked))
    assert [one.id for one in answer.answers] == ["0:3", "0:7", "0:8"]
    assert [cell.border for cell in answer.segmentation.cells] == [False, False, True]


def test_a_percentile_is_that_of_the_whole_field(model: Path) -> None:
    planes, labels = noise(dtype=np.uint16), two_cells()
    with Predictor.load(model, device="cpu", white="percentile") as predictor:
        answer = only(predictor.cells(planes, segmenter=Known({"0": labels})))
        levels = [float(np.percentile(plane, 99.9)) for plane in planes]
        masked = [np.where(labels == number, planes, 0).astype(np.uint16) for number in (3, 7, 8)]
        assert_same(answer.answers, predictor.predict_planes(masked, white=levels))


def test_masks_from_files_give_the_same_answers(model: Path, tmp_path: Path) -> None:
    sample = write_planes(tmp_path / "fields", "A01", draw(FOUR))
    with Predictor.load(model, device="cpu") as predictor:
        found = only(predictor.cells(sample))
        assert len(found.answers) == 4
        write_label_image(tmp_path / "A01_cells.ome.tif", found.segmentation, id="A01")
        again = only(predictor.cells(sample, segmenter=MaskFolder(tmp_path)))
    assert again.segmentation.cells == found.segmentation.cells
    assert_same(again.answers, [one for one in found.answers if isinstance(one, Prediction)])


def test_a_large_field_is_seen_around_the_cell(tmp_path: Path) -> None:
    training = replace(CARD.training, pixel_size=0.2, field_side=64)
    model = make_model(tmp_path / "scaled.onnx", card=replace(CARD, training=training))
    planes, labels = noise(side=256), two_cells(256)
    with Predictor.load(model, device="cpu") as predictor:
        rules = FieldRules.of(pixel_size=0.1)
        answer = only(predictor.cells(planes, segmenter=Known({"0": labels}), rules=rules))
        windows = []
        for cell in answer.segmentation.cells:
            masked = np.where(labels == cell.number, planes, 0).astype(np.uint8)
            padded = np.pad(masked, ((0, 0), (64, 64), (64, 64)))
            top, left = (round(centre) for centre in cell.centre)  # 64 before the centre, and 64 of padding
            window = padded[:, top : top + 128, left : left + 128]
            windows.append(np.stack([cv2.resize(one, (64, 64), interpolation=cv2.INTER_AREA) for one in window]))
        assert_same(answer.answers, predictor.predict_planes(windows))
    assert answer.segmentation.pixel_size == 0.1


def cell_model(
    path: Path, *, margin: int, masked: bool, reference: Reference | None = None, **training: object
) -> Path:
    card: ModelCard = replace(CARD, unit="cell", cell=CellCrop(margin=margin, masked=masked), reference=reference)
    return make_model(path, card=replace(card, training=replace(CARD.training, **training)))  # type: ignore[arg-type]


@pytest.mark.parametrize("masked", [True, False])
def test_a_model_for_cells_gets_crops(tmp_path: Path, *, masked: bool) -> None:
    model = cell_model(tmp_path / "cell.onnx", margin=20, masked=masked)
    planes, labels = noise(), two_cells()
    with Predictor.load(model, device="cpu") as predictor:
        answer = only(predictor.cells(planes, segmenter=Known({"0": labels})))
        crops = []
        for cell in answer.segmentation.cells:
            seen = np.where(labels == cell.number, planes, 0).astype(np.uint8) if masked else planes
            top, left, bottom, right = cell.box
            padded = np.pad(seen, ((0, 0), (20, 20), (20, 20)))
            crops.append(np.ascontiguousarray(padded[:, top : bottom + 40, left : right + 40]))
        assert_same(answer.answers, predictor.predict_planes(crops))


def test_limits_of_crops_are_not_those_of_fields(tmp_path: Path) -> None:
    limits = Limits(data="crops", fields=30, low={"brightness blue": 0.999})
    reference = Reference(data="crops", fields=30, limits=limits)
    planes, known = draw(FOUR), ClassicalSegmenter()
    found = []
    for own in (None, reference):
        model = cell_model(tmp_path / "cell.onnx", margin=20, masked=True, reference=own)
        with Predictor.load(model, device="cpu") as predictor:
            (first, *_) = only(predictor.cells(planes, segmenter=known)).answers
        assert isinstance(first, Prediction)
        assert first.quality is not None
        found.append(first.quality)
    plain, judged = found
    assert (judged.measures, judged.flags) == (plain.measures, plain.flags)
    assert judged.left_out[: len(plain.left_out)] == plain.left_out
    assert "compared with those that ship" in judged.left_out[-1]


def test_a_reference_that_cells_do_not_use_is_refused(model: Path, tmp_path: Path) -> None:
    limits = Limits(data="crops", fields=30, low={"brightness blue": 0.999})
    of_crops = Reference(data="crops", fields=30, limits=limits)
    for_cells = cell_model(tmp_path / "cell.onnx", margin=20, masked=True)
    file = tmp_path / "reference.json"
    file.write_bytes(msgspec.json.encode(of_crops))
    for given in (of_crops, file):
        with Predictor.load(for_cells, device="cpu", reference=given) as predictor:
            assert predictor.predict_planes(noise()[None])[0].warnings  # a crop is compared with it
            with pytest.raises(SettingError, match="whole fields"):
                predictor.cells(noise(), segmenter=Known({"0": two_cells()}))
    no_limits = replace(of_crops, limits=None, spread=learn_spread(np.eye(30, 512, dtype=np.float32)))
    with (
        Predictor.load(model, device="cpu", reference=no_limits) as predictor,
        pytest.raises(SettingError, match="no limits"),
    ):
        predictor.cells(noise(), segmenter=Known({"0": two_cells()}))


def test_the_margin_has_the_scale_of_training(tmp_path: Path) -> None:
    model = cell_model(tmp_path / "cell.onnx", margin=10, masked=True, pixel_size=0.2, field_side=512)
    planes, labels = noise(), two_cells()
    with Predictor.load(model, device="cpu") as predictor:
        answer = only(predictor.cells(planes, segmenter=Known({"0": labels}), rules=FieldRules.of(pixel_size=0.1)))
        masked = np.pad(np.where(labels == 3, planes, 0).astype(np.uint8), ((0, 0), (20, 20), (20, 20)))
        crop = np.ascontiguousarray(masked[:, 10:80, 5:75])
        assert_same(answer.answers[:1], predictor.predict_planes([crop]))


def test_cells_of_many_fields_share_batches(model: Path) -> None:
    fields = [noise(seed) for seed in range(5)]
    known = Known({str(at): two_cells() for at in range(5)})
    with Predictor.load(model, device="cpu", batch_size=5, threads=1) as predictor:
        spy = spied(predictor.session)
        answers = list(predictor.cells(fields, segmenter=known))
    assert [shape[0] for shape in spy.shapes] == [5, 5, 5]
    assert [len(one.answers) for one in answers if isinstance(one, CellAnswers)] == [3] * 5


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_workers_share_the_cells_of_a_field(model: Path, threads: int) -> None:
    planes = noise()
    labels = np.zeros((SIDE, SIDE), np.int32)
    for number in range(30):
        row, column = 16 * (number // 6), 16 * (number % 6)
        labels[row + 1 : row + 15, column + 2 : column + 14] = number + 1
    with Predictor.load(model, device="cpu", threads=threads) as predictor:
        known = Known({"0": labels, "1": np.zeros_like(labels), "2": labels})
        first, empty, again = predictor.cells([planes] * 3, segmenter=known)
        masked = [np.where(labels == number, planes, 0).astype(np.uint8) for number in range(1, 31)]
        assert isinstance(first, CellAnswers)
        assert_same(first.answers, predictor.predict_planes(masked))
    assert isinstance(empty, CellAnswers)
    assert empty.answers == ()
    assert isinstance(again, CellAnswers)
    assert [one.id for one in again.answers] == [f"2:{number}" for number in range(1, 31)]


def test_a_bad_field_costs_no_other_its_answers(model: Path) -> None:
    fields = [noise(seed) for seed in range(5)]
    labels = {str(at): two_cells() for at in (0, 2, 4)} | {"3": np.zeros((SIDE, SIDE), np.int32)}
    with Predictor.load(model, device="cpu", batch_size=4) as predictor:
        answers = list(predictor.cells(fields, segmenter=Known(labels)))
        alone = only(predictor.cells(fields[2:3], segmenter=Known({"0": two_cells()})))
    assert [answer.id for answer in answers] == ["0", "1", "2", "3", "4"]
    assert [len(one.answers) if isinstance(one, CellAnswers) else None for one in answers] == [3, None, 3, 0, 3]
    third = answers[2]
    assert isinstance(third, CellAnswers)
    assert_same(third.answers, [one for one in alone.answers if isinstance(one, Prediction)])


def test_a_cell_that_fails_costs_no_other_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = cell_model(tmp_path / "cell.onnx", margin=0, masked=True)
    original = Preprocessing.model_input

    def refuse_wide(form: Preprocessing, planes: np.ndarray, **settings: Any) -> Any:
        if planes.shape[2] == 40:
            raise PlaneError("too wide", where="a test", remedy="None.")
        return original(form, planes, **settings)

    monkeypatch.setattr(Preprocessing, "model_input", refuse_wide)
    with Predictor.load(model, device="cpu") as predictor:
        answer = only(predictor.cells(noise(), segmenter=Known({"0": two_cells()})))
    assert [isinstance(one, Failure) for one in answer.answers] == [False, True, False]
    assert answer.answers[1].id == "0:7"


def test_cells_have_the_quality_of_their_field(model: Path, tmp_path: Path) -> None:
    planes = np.pad(draw(FOUR), ((0, 0), (64, 64), (64, 64)))
    planes[3] = 0
    sample = write_planes(tmp_path, "A01", planes)
    with Predictor.load(model, device="cpu") as predictor:
        (field_answer,) = predictor.predict(sample)
        answer = only(predictor.cells(sample))
    assert field_answer.quality is not None
    # A reference describes fields and not cells.
    measures = {name: value for name, value in field_answer.quality.measures.items() if name != "outlying"}
    for one in answer.answers:
        assert isinstance(one, Prediction)
        assert one.quality is not None
        assert one.quality.measures == measures
        assert "The yellow plane is empty: all of its pixels have one grey level." in one.warnings


def test_a_tiny_field_is_answered_without_measures_of_lengths(tmp_path: Path) -> None:
    model = cell_model(tmp_path / "cell.onnx", margin=10, masked=True, pixel_size=0.8, field_side=512)
    planes = noise()
    planes[3] = 7
    found = []
    for quality in (True, False):
        with Predictor.load(model, device="cpu", quality=quality) as predictor:
            rules = FieldRules.of(pixel_size=0.1)  # 12 pixels of training
            found.append(only(predictor.cells(planes, segmenter=Known({"0": two_cells()}), rules=rules)))
    assert_same(found[0].answers, [one for one in found[1].answers if isinstance(one, Prediction)])
    for one in found[0].answers:
        assert isinstance(one, Prediction)
        assert one.quality is not None
        (left_out,) = one.quality.left_out
        assert "all but grey levels: at 0.1 um a pixel the field spans 9.6 um" in left_out
        # Grey levels have no length.
        assert one.quality.measures["constant yellow"] == 1
        assert one.quality.measures["saturated red"] == pytest.approx(np.mean(planes[0] == planes[0].max()))
        assert not any("focus" in name or "scale" in name for name in one.quality.measures)
        assert "The yellow plane is empty: all of its pixels have one grey level." in one.warnings


def test_each_cell_of_a_tiny_field_says_that_it_is_tiny(tmp_path: Path) -> None:
    training = replace(CARD.training, pixel_size=0.8, field_side=512)
    model = make_model(tmp_path / "scaled.onnx", card=replace(CARD, training=training))
    for quality in (True, False):
        with Predictor.load(model, device="cpu", quality=quality) as predictor:
            rules = FieldRules.of(pixel_size=0.1)
            answer = only(predictor.cells(noise(), segmenter=Known({"0": two_cells()}), rules=rules))
        assert [one.id for one in answer.answers] == ["0:3", "0:7", "0:8"]
        assert all(isinstance(one, Failure) and "spans 9.6 um" in str(one.error) for one in answer.answers)


def test_the_plane_of_nuclei_is_read_if_the_model_has_no_use_for_it(tmp_path: Path) -> None:
    form = Preprocessing(channels=("red", "green", "yellow"), blend=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    model = make_model(tmp_path / "three.onnx", card=replace(CARD, preprocessing=form))
    sample = write_planes(tmp_path / "fields", "A01", draw(FOUR))
    with Predictor.load(model, device="cpu") as predictor:
        answer = only(predictor.cells(sample))
        labels = answer.segmentation.labels
        masked = [np.where(labels == number, read_planes(sample), 0).astype(np.uint8) for number in (1, 2, 3, 4)]
        assert_same(answer.answers, predictor.predict_planes(masked))


def test_an_array_without_the_plane_of_nuclei_is_refused(tmp_path: Path) -> None:
    form = Preprocessing(channels=("red", "green", "yellow"), blend=((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    model = make_model(tmp_path / "three.onnx", card=replace(CARD, preprocessing=form))
    planes = draw(FOUR)
    with Predictor.load(model, device="cpu") as predictor:
        first, second = predictor.cells([planes[[0, 1, 3]], planes])
        masked = only(predictor.cells(planes[[0, 1, 3]], segmenter=Known({"0": two_cells(384)})))
    assert isinstance(first, Failure)
    assert "cells are found in the blue plane" in str(first.error)
    assert isinstance(second, CellAnswers)
    assert len(second.answers) == 4
    assert len(masked.answers) == 3


def test_the_pixel_size_of_the_rules_counts(model: Path, tmp_path: Path) -> None:
    sample: Sample = write_planes(tmp_path, "A01", draw(FOUR))
    with Predictor.load(model, device="cpu") as predictor:
        answer = only(predictor.cells(sample, rules=FieldRules.of(pixel_size=PIXEL)))
    assert answer.segmentation.pixel_size == PIXEL
    assert answer.segmentation.labels.tolist() == (
        ClassicalSegmenter().segment(draw(FOUR), id="", pixel_size=PIXEL).labels.tolist()
    )


def test_nuclei_of_a_stack_are_read_for_a_model_without(tmp_path: Path) -> None:
    form = Preprocessing(channels=("red", "green", "yellow"), blend=((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0)))
    model = make_model(tmp_path / "model.onnx", preprocessing=form)
    names = {"Channel": {"Name": ["red", "green", "blue", "yellow"]}}
    write_ome_tiff(tmp_path / "stacks" / "a.ome.tif", draw(FOUR), "CYX", **names)
    with Predictor.load(model, device="cpu") as predictor:
        assert len(only(predictor.cells(tmp_path / "stacks")).answers) == 4
