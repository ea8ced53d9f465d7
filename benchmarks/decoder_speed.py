"""Measures decoders on real planes: the 512 x 512 PNG files, and 2048 x 2048 PNG and TIFF files made from them.

A TIFF is uncompressed, or compressed by Deflate, whose checksum is then checked.

    python -m benchmarks.decoder_speed --planes FOLDER -o docs/performance/decoders.json

Figures are milliseconds of processor time per plane on one thread, from a path to an array; the decoders take turns.
The SDK decodes PNG with Pillow and reads these TIFFs itself, each after its checks of form, size and checksums. The
larger planes are four times as wide and high, by bicubic interpolation.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt
from PIL import Image
from tqdm import tqdm

from benchmarks.figures import ratios, spreads, write_figures
from hpa_sdk.bench.rates import in_turn
from hpa_sdk.fields.reading import read_plane

Decoder = Callable[[Path], Any]

_WIDER = 4
_LARGE = 12


def main() -> None:
    """Run the measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--planes", type=Path, required=True, help="folder of PNG planes")
    parser.add_argument("--count", type=int, default=40, help="most planes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    planes = sorted(options.planes.glob("*.png"))[: options.count]
    with TemporaryDirectory() as folder:
        forms = {
            "512 x 512 PNG": planes,
            "2048 x 2048 PNG": [enlarge(plane, Path(folder), ".png") for plane in planes[:_LARGE]],
            "2048 x 2048 TIFF": [enlarge(plane, Path(folder), ".tif") for plane in planes[:_LARGE]],
            "2048 x 2048 TIFF, Deflate": [
                enlarge(plane, Path(folder) / "deflate", ".tif", compression="tiff_adobe_deflate")
                for plane in planes[:_LARGE]
            ],
        }
        figures = {form: measure(files, options.rounds) for form, files in tqdm(forms.items(), disable=None)}
    write_figures(options.output, {"milliseconds_a_plane": figures})


def measure(files: Sequence[Path], rounds: int) -> dict[str, object]:
    """Measure each decoder on some files of one form."""
    decoders = _decoders(files[0].suffix)
    for decoder in decoders.values():
        if not np.array_equal(decoder(files[0]), read_plane(files[0])):
            message = f"{decoder} decodes {files[0]} to another picture"
            raise ValueError(message)
    rows = list(in_turn({name: partial(time_decoder, decoder, files) for name, decoder in decoders.items()}, rounds))
    return {"times": spreads(rows), "over_the_sdk": ratios(rows, "the SDK's")}


def _decoders(suffix: str) -> dict[str, Decoder]:
    decoders: dict[str, Decoder] = {
        "the SDK's": read_plane,
        "Pillow": _pillow,
        "OpenCV": lambda path: cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED),
    }
    if suffix == ".png":
        decoders["imagecodecs, libpng"] = lambda path: imagecodecs.png_decode(path.read_bytes())
        decoders["imagecodecs, libspng"] = lambda path: imagecodecs.spng_decode(path.read_bytes())
    else:
        decoders["imagecodecs, libtiff"] = lambda path: imagecodecs.tiff_decode(path.read_bytes())
    return decoders


def _pillow(path: Path) -> npt.NDArray[np.generic]:
    with Image.open(path) as image:
        return np.asarray(image)


def time_decoder(decoder: Decoder, files: Sequence[Path]) -> float:
    """Return the milliseconds of processor time that a decoder needs for a plane."""
    begun = time.process_time()
    for file in files:
        decoder(file)
    return (time.process_time() - begun) / len(files) * 1e3


def enlarge(plane: Path, folder: Path, suffix: str, **form: Any) -> Path:  # noqa: ANN401 - Pillow's own options
    """Write a plane four times as wide and high, in the format of the suffix."""
    picture = read_plane(plane)
    side = (picture.shape[1] * _WIDER, picture.shape[0] * _WIDER)
    folder.mkdir(exist_ok=True)
    path = folder / f"{plane.stem}{suffix}"
    Image.fromarray(cv2.resize(picture, side, interpolation=cv2.INTER_CUBIC)).save(path, **form)
    return path


if __name__ == "__main__":
    main()
