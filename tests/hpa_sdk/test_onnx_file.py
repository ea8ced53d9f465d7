"""What is read off a model file equals what the onnx package reads, and unfit files are refused."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models import onnx_file
from hpa_sdk.models.onnx_file import graph_sha256, read_onnx
from hpa_sdk.models.protobuf_wire import integer, text
from tests.small import build_model, make_model


def test_the_outline_equals_what_the_onnx_package_reads(tmp_path: Path) -> None:
    path = make_model(tmp_path / "mödel.onnx")
    file, proto = read_onnx(path), onnx.load(path)
    assert file.size == path.stat().st_size
    assert file.opset == proto.opset_import[0].version == 18
    assert file.producer == "small"
    assert file.metadata == {entry.key: entry.value for entry in proto.metadata_props}
    assert file.operators == Counter(node.op_type for node in proto.graph.node)
    assert {name: str(form) for name, form in file.inputs.items()} == {"image": "float32 (N, 299, 299, 3)"}
    assert {name: str(form) for name, form in file.outputs.items()} == {
        "probabilities": "float32 (N, 28)",
        "embedding": "float32 (N, 512)",
    }


def test_the_hash_covers_the_graph_and_not_the_card(tmp_path: Path) -> None:
    content = make_model(tmp_path / "a.onnx").read_bytes()
    assert graph_sha256(content) == hashlib.sha256(onnx.load_from_string(content).graph.SerializeToString()).hexdigest()
    assert graph_sha256(content) == graph_sha256(make_model(tmp_path / "b.onnx", name="other").read_bytes())
    assert graph_sha256(content) != graph_sha256(build_model(seed=4).SerializeToString())


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 100, b"hello world", b"\xff" * 64, b"\0"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"no ONNX model|empty") as caught:
        read_onnx(path)
    assert caught.value.where == str(path)


def test_a_model_cut_short_is_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "short.onnx"
    path.write_bytes(model.read_bytes()[:-5000])
    with pytest.raises(ModelFileError, match="cut short"):
        read_onnx(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no such file"):
        read_onnx(tmp_path / "gone.onnx")
    with pytest.raises(ModelFileError, match="can't be read"):
        read_onnx(tmp_path)


def test_external_data_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(build_model(), path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelFileError, match="external data"):
        read_onnx(path)


def test_external_data_inside_an_operator_is_refused(tmp_path: Path) -> None:
    model = build_model()
    hidden = numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    hidden.data_location = TensorProto.EXTERNAL
    branch = helper.make_graph([helper.make_node("Constant", [], ["c"], value=hidden)], "branch", [], [])
    model.graph.node.append(helper.make_node("If", ["mean"], [], then_branch=branch, else_branch=branch))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="external data"):
        read_onnx(tmp_path / "model.onnx")


def test_a_custom_operator_is_refused_by_name(tmp_path: Path) -> None:
    model = build_model()
    model.graph.node[2].op_type, model.graph.node[2].domain = "Sharpen", "com.example"
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelFileError, match=r"custom operator com\.example\.Sharpen"):
        read_onnx(tmp_path / "model.onnx")


def test_functions_of_its_own_are_refused(tmp_path: Path) -> None:
    model = build_model()
    opset = helper.make_opsetid("", 18)
    model.functions.append(helper.make_function("local", "F", ["x"], ["y"], [], [opset]))
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(ModelFileError, match="functions of its own"):
        read_onnx(tmp_path / "model.onnx")


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    branch = helper.make_graph([], "leaf", [], [])
    for _ in range(20):
        node = helper.make_node("If", ["x"], [], then_branch=branch, else_branch=branch)
        node.attribute.pop()
        branch = helper.make_graph([node], "branch", [], [])
    opsets = [helper.make_opsetid("", 18)]
    (tmp_path / "model.onnx").write_bytes(helper.make_model(branch, opset_imports=opsets).SerializeToString())
    with pytest.raises(ModelFileError, match="nested too deeply"):
        read_onnx(tmp_path / "model.onnx")


def test_the_weights_are_measured_by_their_type(tmp_path: Path) -> None:
    model = build_model()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(9000, np.int8), "more"))
    constant = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.zeros(800, np.float16)))
    model.graph.node.append(constant)
    onnx.save(model, tmp_path / "model.onnx")
    weights = read_onnx(tmp_path / "model.onnx").weights
    tensors = [*model.graph.initializer, constant.attribute[0].t]
    assert list(weights) == ["float32", "int8", "float16"]
    for dtype, number in (("float32", TensorProto.FLOAT), ("int8", TensorProto.INT8), ("float16", TensorProto.FLOAT16)):
        assert weights[dtype] == sum(tensor.ByteSize() for tensor in tensors if tensor.data_type == number)


def test_external_data_in_sparse_weights_is_refused(tmp_path: Path) -> None:
    values = numpy_helper.from_array(np.ones(1, np.float32), "values")
    values.data_location = TensorProto.EXTERNAL
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(np.zeros(1, np.int64), "indices"), [3])
    among_weights, in_an_operator = build_model(), build_model()
    among_weights.graph.sparse_initializer.append(sparse)
    in_an_operator.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=sparse))
    for model in (among_weights, in_an_operator):
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelFileError, match="external data"):
            read_onnx(tmp_path / "model.onnx")


def test_what_is_absurdly_large_beside_the_weights_is_refused(tmp_path: Path) -> None:
    card, name, shape = build_model(), build_model(), build_model()
    helper.set_model_props(card, {f"entry {number}": "x" * 300_000 for number in range(4)})
    name.graph.input[0].name = "x" * 1_000_000
    shape.graph.input.append(helper.make_tensor_value_info("deep", TensorProto.FLOAT, [1] * 100_000))
    for model, message in (
        (card, "take 1,200,0.. bytes; up to 1,048,576 are read"),
        (name, "a name in it is longer than 1,000 characters"),
        (shape, "has 100,000 dimensions"),
    ):
        (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelFileError, match=message) as caught:
            read_onnx(tmp_path / "model.onnx")
        assert len(str(caught.value)) < 500


def test_a_file_that_no_protobuf_message_can_fill_is_refused(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_file, "LARGEST_MODEL", 1000)
    with pytest.raises(ModelFileError, match="larger than an ONNX model can be"):
        read_onnx(model)


def test_of_a_field_said_twice_the_last_counts_as_in_protobuf() -> None:
    twice = onnx.NodeProto(domain="").SerializeToString() + onnx.NodeProto(domain="a").SerializeToString()
    twice += onnx.NodeProto(domain="evil").SerializeToString()
    assert text(memoryview(twice), 7) == onnx.NodeProto.FromString(twice).domain == "evil"
    numbers = (
        onnx.OperatorSetIdProto(version=3).SerializeToString() + onnx.OperatorSetIdProto(version=18).SerializeToString()
    )
    assert integer(memoryview(numbers), 2) == onnx.OperatorSetIdProto.FromString(numbers).version == 18
