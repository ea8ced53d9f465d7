"""A package loads like the bare file, and one that is no such package is refused before it is unpacked."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models import model_package
from hpa_sdk.models.model_package import read_packed_model


def pack(path: Path, members: dict[str, bytes], *, method: int = zipfile.ZIP_STORED) -> Path:
    """Write a zip file."""
    with zipfile.ZipFile(path, "w", method) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return path


def read(path: Path) -> bytes | None:
    with path.open("rb") as file:
        return read_packed_model(file, path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_model_comes_out_as_it_went_in(tmp_path: Path, model: Path, method: int) -> None:
    path = pack(
        tmp_path / "ä.zip",
        {"rdf.yaml": b"type: model", "README.md": b"", "model.onnx": model.read_bytes()},
        method=method,
    )
    assert read(path) == model.read_bytes()


def test_another_file_is_left_to_its_own_reader(tmp_path: Path, model: Path) -> None:
    assert read(model) is None
    (tmp_path / "empty.zip").touch()
    assert read(tmp_path / "empty.zip") is None


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({}, "0 ONNX files"),
        ({"weights.pt": b"1"}, "0 ONNX files"),
        ({"a.onnx": b"1", "b.ONNX": b"2"}, "2 ONNX files"),
    ],
)
def test_a_package_without_the_one_model_is_refused(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    with pytest.raises(ModelFileError, match=f"{reason}, not one.*python -m export bioimageio"):
        read(pack(tmp_path / "a.zip", members))


def test_nothing_in_a_package_is_written_anywhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as package:
        package.writestr("../../outside.onnx", b"model")
    assert read(tmp_path / "a.zip") == b"model"
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_a_bomb_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = pack(tmp_path / "bomb.zip", {"model.onnx": bytes(10**7)}, method=zipfile.ZIP_DEFLATED)
    with pytest.raises(ModelFileError, match="would unpack to 10,000,000"):
        read(bomb)
    monkeypatch.setattr(model_package, "LARGEST_MODEL", 99)
    with pytest.raises(ModelFileError, match="would unpack to 100"):
        read(pack(tmp_path / "large.zip", {"model.onnx": bytes(100)}))


def test_a_zip_bomb_with_a_false_size_gives_no_more_bytes(tmp_path: Path) -> None:
    bomb = pack(tmp_path / "bomb.zip", {"model.onnx": bytes(10**7)}, method=zipfile.ZIP_DEFLATED)
    real_size = (10**7).to_bytes(4, "little")
    bomb.write_bytes(bomb.read_bytes().replace(real_size, (100).to_bytes(4, "little")))
    with pytest.raises(ModelFileError, match="damaged"):
        read(bomb)


def encrypted(content: bytes) -> bytes:
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.index(signature) + offset
        content = content[:at] + bytes([content[at] | 1]) + content[at + 1 :]
    return content


def changed(content: bytes) -> bytes:
    return content.replace(b"the model", b"the muddle"[:9])


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (encrypted, "encrypted"),
        (changed, "damaged or cut short .*CRC"),
        (lambda content: content[: len(content) // 2], "damaged or cut short"),
        (lambda content: content[:30], "damaged or cut short"),
    ],
)
def test_a_spoiled_package_is_refused_with_the_reason(
    tmp_path: Path, spoil: Callable[[bytes], bytes], reason: str
) -> None:
    path = pack(tmp_path / "a.zip", {"model.onnx": b"the model"})
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ModelFileError, match=reason):
        read(path)


def test_a_way_of_packing_that_is_not_zip_s_own_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="packed in a way"):
        read(pack(tmp_path / "a.zip", {"model.onnx": b"the model"}, method=zipfile.ZIP_LZMA))


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_damage_of_a_package_is_reported(tmp_path: Path, method: int) -> None:
    whole = pack(
        tmp_path / "a.zip", {"model.onnx": bytes(range(256)), "rdf.yaml": b"type: model"}, method=method
    ).read_bytes()
    rng = np.random.default_rng(5)
    for _ in range(1000):
        damaged = bytearray(whole)
        for at in rng.integers(4, len(whole), 3):
            damaged[at] = rng.integers(256)
        try:
            read_packed_model(io.BytesIO(damaged), tmp_path / "a.zip")
        except ModelFileError:
            continue
