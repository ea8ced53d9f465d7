"""Quantizes an exported file to int8 by a plan: types, operators and ranges."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx
import onnx.version_converter
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantType,
    create_calibrator,
    quant_pre_process,
    quantize_static,
)
from onnxruntime.quantization.calibrate import save_tensors_data
from tqdm import tqdm

from export.fields import Fields
from export.quantization.bias_correction import correct_bias
from export.variants.agreement import answer
from export.variants.variant import Parent, raise_as_variant_errors
from hpa_sdk.prediction import Probabilities

WEIGHTED = ("Conv", "Gemm")
"""Operators with weights."""

BETWEEN = ("Add", "Concat", "MaxPool", "AveragePool")
"""Operators between them that can also run on quantized numbers."""

HISTOGRAM_FIELDS = 32
"""Largest number of fields for calibration with histograms, which takes seconds per field."""

Signedness = Literal["U8S8", "U8U8", "S8S8"]
"""Types of activations and weights: unsigned or signed, 8 bits."""

CalibrationName = Literal["MinMax", "Entropy", "Percentile"]
"""onnxruntime's name of the calibration method, which finds the range of an activation."""

_PER_CHANNEL_OPSET = 13
"""The first version of the standard operators in which each channel of a weight can have its own scale."""

_TYPES = {"U8": QuantType.QUInt8, "S8": QuantType.QInt8}


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizationPlan:
    """The settings of a quantization.

    Attributes
    ----------
    signedness : str
        Types of activations and weights.
    operators : tuple of str
        Types of the operators to quantize.
    calibration : str
        The method that finds the ranges of activations.
    reduce_range : bool
        Whether weights have 7 bits, which prevents overflow on CPUs without VNNI.
    excluded : tuple of str
        Nodes that stay float, in addition to the input normalization and the last dense layer, which always do.
    """

    signedness: Signedness = "U8S8"
    operators: tuple[str, ...] = WEIGHTED
    calibration: CalibrationName = "MinMax"
    reduce_range: bool = False
    excluded: tuple[str, ...] = ()


class Quantizer:
    """Quantizes one file by any number of plans; each calibration runs once, when a plan first needs it.

    Parameters
    ----------
    parent : Parent
        The file.
    calibration : Fields
        Fields whose activations give the ranges.
    work : pathlib.Path
        A folder for temporary files.

    Attributes
    ----------
    convolutions : tuple of str
        Names of the convolutions that a plan can exclude, from input to output.
    """

    def __init__(self, parent: Parent, calibration: Fields, work: Path) -> None:
        self._parent = parent
        self._calibration = calibration
        self._work = work
        self._prepared = work / "prepared.onnx"
        made_by = onnx.load(parent.path)
        self._producer = made_by.producer_name, made_by.producer_version
        # Folds scales into convolutions and biases into dense layers, so that fewer operators must be quantized.
        with raise_as_variant_errors(parent.path), _temporary_files_in(work):
            quant_pre_process(_of_opset(made_by, parent, work), str(self._prepared), skip_symbolic_shape=True)
        nodes = _name_nodes(self._prepared)
        normalization = [node.name for node in takewhile(lambda node: node.op_type not in WEIGHTED, nodes)]
        last_dense = [node.name for node in nodes if node.op_type == "Gemm"][-1:]
        # The embedding is what the network computed, not a value of 256.
        last = [node.name for node in nodes if set(node.output) & set(parent.card.tensors.outputs)]
        self._float = tuple(dict.fromkeys((*normalization, *last_dense, *last)))
        self.convolutions = tuple(node.name for node in nodes if node.op_type == "Conv")

    def quantize(self, plan: QuantizationPlan) -> Path:
        """Quantize by a plan, and correct the biases; the embedding stays float.

        Returns
        -------
        pathlib.Path
            An ONNX file in the working folder, without a card; the next call overwrites it.

        Raises
        ------
        VariantError
            onnxruntime can't quantize the network by this plan.
        """
        out = self._work / "quantized.onnx"
        with raise_as_variant_errors(self._parent.path), _temporary_files_in(self._work):
            quantize_static(
                self._prepared,
                out,
                None,
                op_types_to_quantize=list(plan.operators),
                per_channel=True,
                reduce_range=plan.reduce_range,
                activation_type=_TYPES[plan.signedness[:2]],
                weight_type=_TYPES[plan.signedness[2:]],
                nodes_to_exclude=[*self._float, *plan.excluded],
                calibrate_method=CalibrationMethod[plan.calibration],
                calibration_cache_path=self._ranges(plan.calibration),
                extra_options={"OpTypesToExcludeOutputQuantization": ["Gemm"]},
            )
        model = onnx.load(out)
        model.producer_name, model.producer_version = self._producer
        # onnxruntime lists all operator sets that it knows, also unused ones.
        used = {node.domain for node in model.graph.node}
        opsets = [opset for opset in model.opset_import if opset.domain in used]
        del model.opset_import[:]
        model.opset_import.extend(opsets)
        correct_bias(
            model, self._parent.card.tensors, self._expected, answer(out, self._parent.card, self._calibration)
        )
        out.write_bytes(model.SerializeToString(deterministic=True))
        return out

    @cached_property
    def _expected(self) -> Probabilities:
        return answer(self._parent.path, self._parent.card, self._calibration)

    def _ranges(self, method: CalibrationName) -> Path:
        """Return the file with the ranges of all activations, collected one field at a time."""
        ranges = self._work / f"{method}.json"
        if ranges.exists():
            return ranges
        augmented = self._work / "augmented.onnx"
        calibrator = create_calibrator(
            self._prepared,
            [*WEIGHTED, *BETWEEN],
            augmented_model_path=str(augmented),
            calibrate_method=CalibrationMethod[method],
        )
        fields = self._calibration if method == "MinMax" else self._calibration.first(HISTOGRAM_FIELDS)
        images, count = fields.images(self._parent.card.preprocessing), len(fields.samples)
        # One reader per field: the calibrators hold the activations of a whole reader in memory.
        for image in tqdm(images, total=count, desc=f"calibrate {method}", unit="field", disable=None, leave=False):
            with _without_prints():
                calibrator.collect_data(_OneField(self._parent.inputs_of(image)))
        with _without_prints():
            save_tensors_data(calibrator.compute_data(), ranges)
        augmented.unlink()
        return ranges


def _of_opset(model: onnx.ModelProto, parent: Parent, work: Path) -> str:
    """Return the path of the parent with operators that can have one scale for each channel of a weight."""
    if parent.file.opset >= _PER_CHANNEL_OPSET:
        return str(parent.path)
    converted = work / "converted.onnx"
    onnx.save(onnx.version_converter.convert_version(model, _PER_CHANNEL_OPSET), converted)
    return str(converted)


def _name_nodes(path: Path) -> list[onnx.NodeProto]:
    """Give each node of a file a name of its own, by which it can be excluded, and return the nodes."""
    model = onnx.load(path)
    nodes: list[onnx.NodeProto] = list(model.graph.node)
    if len({node.name for node in nodes} - {""}) < len(nodes):
        for at, node in enumerate(nodes):
            node.name = f"{node.op_type}_{at}"
        onnx.save(model, path)
    return nodes


class _OneField(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
    def __init__(self, model_inputs: dict[str, npt.NDArray[np.float32]]) -> None:
        self._left = iter([model_inputs])

    def get_next(self) -> dict[str, npt.NDArray[np.float32]] | None:
        return next(self._left, None)


@contextlib.contextmanager
def _temporary_files_in(folder: Path) -> Iterator[None]:
    """Put onnxruntime's temporary files into a folder whose disk has room, not into the system's folder."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before


@contextlib.contextmanager
def _without_prints() -> Iterator[None]:
    """Suppress onnxruntime's progress lines on stdout."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
