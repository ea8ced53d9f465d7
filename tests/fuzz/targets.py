"""Names the entry points for untrusted bytes, each with valid inputs to start from."""

from __future__ import annotations

import io
import random
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import tifffile
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.finding import count_samples, find_samples
from hpa_sdk.fields.reading import read_plane
from hpa_sdk.fields.samples import Channel
from hpa_sdk.fields.scenes import open_scenes
from hpa_sdk.fields.tables import read_columns
from hpa_sdk.labels import Label
from hpa_sdk.models.checksum import add_checksum
from hpa_sdk.models.contract import read_model
from hpa_sdk.models.model_card import METADATA_KEY, ModelCard
from hpa_sdk.predictor import Predictor
from hpa_sdk.workstation.station import read_station
from tests.fuzz.mutation import mutate
from tests.pseudocoloured import COLOURS, jpeg, make_plane, pseudocolour
from tests.small import CARD


@dataclass(frozen=True, slots=True)
class Target:
    """One entry point.

    Attributes
    ----------
    seeds : list of bytes
        Whole inputs.
    name : str
        The name of the file that the target reads.
    read : callable
        Reads the file; may raise `HpaError` and nothing else.
    """

    seeds: list[bytes]
    name: str
    read: Callable[[Path], object]

    def make(self, rng: random.Random) -> bytes:
        """Make a damaged input."""
        return mutate(rng, self.seeds)

    def feed(self, content: bytes, folder: Path) -> bool:
        """Read an input, and say whether it was taken.

        Raises
        ------
        Exception
            Whatever came out but `HpaError`: a finding.
        """
        path = folder / self.name
        path.write_bytes(content)
        try:
            self.read(path)
        except HpaError:
            return False
        return True


def targets() -> dict[str, Target]:
    """Make all targets, by name."""
    models = [_model(), _model(weights=False), _model(hostile=True), _packed(_model(weights=False))]
    return {
        "planes": Target(_pictures(), "plane.png", partial(read_plane, channel=Channel.GREEN)),
        "stacks": Target(_stacks(), "stack.ome.tif", _read_stack),
        "samples": Target(_listings(), "names.txt", _find_named),
        "tables": Target(
            [b"Id,Predicted\na,1 2\nb,0\n", "\ufeffId\nß\n".encode(), b'Id\n"a\nb"\n'], "t.csv", _read_table
        ),
        "stations": Target(_stations(), "station.toml", read_station),
        "cards": Target([CARD.to_json().encode(), msgspec.json.encode(CARD)], "card.json", _read_card),
        "models": Target(models, "model.onnx", read_model),
        "sessions": Target(models[:1], "model.onnx", _open_model),
    }


def _read_stack(path: Path) -> None:
    with open_scenes(path) as scenes:
        for look in scenes.values():
            for stack in look():
                stack.read(0)


def _find_named(listing: Path) -> None:
    folder = listing.parent / "named"
    folder.mkdir(exist_ok=True)
    names = [name for name in listing.read_bytes().split(b"\n")[:8] if name and b"/" not in name and b"\\" not in name]
    made = []
    for name in names:
        with suppress(OSError, ValueError):  # names that the system itself refuses
            path = folder / name.decode("utf-8", "surrogateescape")
            path.touch(exist_ok=False)
            made.append(path)
    try:
        with suppress(HpaError):
            count_samples(folder, recursive=True)
            list(find_samples(folder, recursive=True))
        for name in names:
            with suppress(HpaError):
                list(find_samples(folder / name.decode("utf-8", "surrogateescape")))
    finally:
        for path in made:
            path.unlink()


def _read_table(path: Path) -> None:
    with suppress(HpaError):
        list(read_columns(path, "Id", "Predicted"))
    problems = [sample.problem for sample in find_samples(path) if sample.problem is not None]
    if problems:
        raise problems[0]


def _read_card(path: Path) -> None:
    ModelCard.from_json(path.read_bytes(), where=str(path)).check(str(path))


def _open_model(path: Path) -> None:
    predictor = Predictor.load(path, device="cpu")
    predictor.predict_planes(np.zeros((1, 4, 32, 32), np.uint8))


def _pictures() -> list[bytes]:
    rng = np.random.default_rng(0)
    grey8 = Image.fromarray(rng.integers(0, 255, (24, 32), np.uint8))
    grey16 = Image.fromarray(rng.integers(0, 65535, (24, 32), np.uint16))
    forms: list[tuple[Image.Image, str, dict[str, Any]]] = [(grey8, "PNG", {}), (grey16, "PNG", {})]
    forms += [(grey8, "JPEG", {}), (grey8, "JPEG", {"progressive": True})]
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "lzma", "zstd"):
        forms.append((grey8, "TIFF", {"compression": compression}))
    forms.append((grey16, "TIFF", {"compression": "tiff_lzw"}))
    turned = Image.Exif()
    turned[0x0112] = 6
    forms += [(grey16, "PNG", {"exif": turned}), (grey8, "JPEG", {"exif": turned})]
    return [
        jpeg(pseudocolour(make_plane(side=256), COLOURS[Channel.GREEN])),
        *(_saved(*form) for form in forms),
        *(_written(np.asarray(grey16), **options) for options in _TIFF_FORMS),
    ]


_TIFF_FORMS: tuple[dict[str, Any], ...] = (
    {"compression": "zlib", "predictor": True, "tile": (16, 16)},
    {"compression": "lzw", "tile": (16, 16), "byteorder": ">"},
    {"bigtiff": True, "rowsperstrip": 5, "photometric": "miniswhite", "extratags": [(274, "H", 1, 8, True)]},
)


def _written(plane: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, plane, **{"photometric": "minisblack", "metadata": None, **options})
    return file.getvalue()


def _saved(image: Image.Image, form: str, options: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _stacks() -> list[bytes]:
    planes = np.random.default_rng(0).integers(0, 255, (4, 24, 32), np.uint8)
    made = []
    axes = {"axes": "CYX"}
    forms: list[dict[str, Any]] = [{"ome": True, "metadata": axes}, {"imagej": True, "metadata": axes}, {}]
    forms += [{"metadata": axes, "compression": name, "tile": (16, 16)} for name in ("zlib", "lzw", "zstd")]
    for options in forms:
        file = io.BytesIO()
        tifffile.imwrite(file, planes, photometric="minisblack", **options)
        made.append(file.getvalue())
    return made


def _listings() -> list[bytes]:
    four = b"\n".join(b"a_%s.png" % colour for colour in (b"red", b"green", b"blue", b"yellow"))
    return [four, four.upper(), "ß_red.tif\n😀_green.jpeg\n_blue.png\n.png".encode(), b"a_red\na_red.png.png\n \n.\n.."]


def _stations() -> list[bytes]:
    return [
        b'model = "m.onnx"\nwatch = "in"\noutput = "out"\n[files]\npattern = "hpa"\n[arrival]\n',
        b"""model = "m.onnx"
watch = "in"
output = "out"
threshold = 0.5
device = "cpu"
[files]
pattern = '(?P<id>.+)_ch(?P<channel>\\d)'
white = 4095
recursive = true
[channels]
red = [2]
green = ['gfp']
blue = ['dapi']
yellow = [3]
""",
    ]


def _model(*, weights: bool = True, hostile: bool = False) -> bytes:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 299, 299, 3])
    outputs = [
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", len(Label)]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 512]),
    ]
    nodes = [
        helper.make_node("Transpose", ["image"], ["colours"], perm=[0, 3, 1, 2]),
        helper.make_node("GlobalAveragePool", ["colours"], ["means"]),
        helper.make_node("Flatten", ["means"], ["mean"]),
        helper.make_node("MatMul", ["mean", "w"], ["embedding"]),
        helper.make_node("MatMul", ["embedding", "v"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    shapes = {"w": (3, 512), "v": (512, len(Label))} if weights else {"w": (1, 1), "v": (1, 1)}
    initializers = [numpy_helper.from_array(np.full(shape, 0.1, np.float32), name) for name, shape in shapes.items()]
    if hostile:
        initializers[0].data_location = TensorProto.EXTERNAL
        initializers[0].external_data.add(key="location", value="/etc/passwd")
        nodes.append(helper.make_node("Evil", ["image"], ["x"], domain="custom"))
    model = helper.make_model(
        helper.make_graph(nodes, "g", [image], outputs, initializers),
        opset_imports=[helper.make_opsetid("", 18)],
        ir_version=8,
    )
    onnx.helper.set_model_props(model, {METADATA_KEY: CARD.to_json()})
    return add_checksum(model.SerializeToString())


def _packed(model: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("weights.onnx", model)
    return file.getvalue()
