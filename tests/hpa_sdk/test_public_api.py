"""Holds the public API: mypy checks the types that are asserted here, and the tests run the same lines."""

import inspect
import subprocess
import sys
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from typing import assert_type

import numpy as np
import numpy.typing as npt
import pytest

import hpa_sdk
from hpa_sdk import Failure, Label, ModelCard, Prediction, Predictor, Sample, SchemeLabel, find_samples
from hpa_sdk.cells import CellAnswers
from tests.conftest import ROOT

PROMISED = {
    "load": "(model, *, device='auto', threshold='card', white=None, batch_size=None, threads=None, gpu_memory=None,"
    " runtime_options=None, card=None, verify=False, sha256=None, quality=True, reference=None, calibrated=False,"
    " views=1)",
    "predict": "(self, sources, *, on_error='raise', recursive=False, rules=None, calibrated=None)",
    "stream": "(self, sources, *, on_error='yield', recursive=False, root=None, rules=None, calibrated=None)",
    "predict_planes": "(self, planes, *, white=None, calibrated=None)",
    "cells": "(self, sources, *, segmenter=None, recursive=False, root=None, rules=None)",
}


def test_calls_are_those_that_users_have_written() -> None:
    for name, promised in PROMISED.items():
        signature = inspect.signature(getattr(Predictor, name))
        untyped = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
        assert str(signature.replace(parameters=untyped, return_annotation=signature.empty)) == promised


def test_what_comes_back_has_the_types_that_are_promised(model: Path, fields: list[Sample]) -> None:
    predictor = Predictor.load(model, device="cpu")
    assert_type(predictor.card, ModelCard)
    assert_type(predictor.device, str)
    assert_type(predictor.providers, tuple[str, ...])
    assert_type(predictor.stream(fields), Generator[Prediction | Failure])
    assert_type(predictor.predict(fields, on_error="yield"), list[Prediction | Failure])
    assert_type(predictor.cells(fields), Generator[CellAnswers | Failure])
    predictions = assert_type(predictor.predict(fields), list[Prediction])
    assert_type(predictions[0].labels, frozenset[Label | SchemeLabel])
    assert_type(predictions[0].probabilities, npt.NDArray[np.float32])
    assert assert_type(Label.NUCLEOPLASM in predictions[0], bool) == (Label.NUCLEOPLASM in predictions[0].labels)
    (planes,) = predictor.predict_planes(np.zeros((1, 4, 64, 64), np.uint8))
    assert_type(planes, Prediction)
    assert [sample.id for sample in find_samples(fields[0].files[0].parent)] == [field.id for field in fields]


def test_names_are_those_that_are_promised() -> None:
    assert hpa_sdk.__all__ == sorted(hpa_sdk.__all__)
    assert set(hpa_sdk.__all__) == {
        *("Channel", "Failure", "FieldRules", "HpaError", "Label", "LabelScheme", "ModelCard", "Prediction"),
        *("PredictionError", "Predictor", "Preprocessing", "Sample", "SchemeLabel", "find_samples", "read_planes"),
    }


DOORS = {
    "hpa_sdk.cells": [
        *("Cell", "CellAnswers", "CellResult", "ClassicalSegmenter", "MaskFolder", "Segmentation"),
        *("SegmentationSettings", "Segmenter", "read_cells"),
    ],
    "hpa_sdk.batch": ["find_all", "open_run"],
    "hpa_sdk.integrations": ["predict_dataset"],
    "hpa_sdk.results": ["Result", "open_writer"],
    "hpa_sdk.workstation": [
        *("FieldHandler", "HotFolder", "Station", "follow_up", "load_predictor", "open_store", "read_station"),
    ],
}


@pytest.mark.parametrize("package", DOORS)
def test_packages_offer_what_they_promise(package: str) -> None:
    door = import_module(package)
    assert door.__all__ == DOORS[package]
    for name in door.__all__:
        if package != "hpa_sdk.integrations":  # Ray lives in an environment of its own
            assert getattr(door, name).__module__.startswith(package)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("hpa_sdk.planes", "hpa_sdk"),
        ("hpa_sdk.workstation.opening", "hpa_sdk.workstation"),
        ("training.run", "training.fit.run_folder"),
        ("export.export_onnx", "export.onnx.export"),
    ],
)
def test_a_module_that_has_moved_is_named(old: str, new: str) -> None:
    with pytest.raises(ImportError, match=f"{old} has moved: import from {new}$"):
        import_module(old)
    import_module(new)
    # Also in a process that imports nothing else before.
    command = [sys.executable, "-c", f"import {old}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith(f"{old} has moved: import from {new}")
