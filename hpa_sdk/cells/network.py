"""Finds cells by a segmentation network: an ONNX file whose card says that it answers for pixels."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.cells.classical import VERSION
from hpa_sdk.cells.growing import at_full_size, grow
from hpa_sdk.cells.nuclei import pixel_size_of, separated
from hpa_sdk.cells.regions import cells_in_one_piece
from hpa_sdk.cells.segmenter import check_packages
from hpa_sdk.cells.settings import SegmentationSettings
from hpa_sdk.cells.thresholds import Floats
from hpa_sdk.cells.tiles import Labels
from hpa_sdk.errors import ModelCardError, ModelFileError, count_of
from hpa_sdk.inference.device_choice import open_session
from hpa_sdk.inference.session import Session, SessionSettings
from hpa_sdk.models.card_file import as_card
from hpa_sdk.models.contract import check_model
from hpa_sdk.models.model_card import ModelCard
from hpa_sdk.models.model_content import ModelContent
from hpa_sdk.preprocessing import Planes, White

MOST_PIXELS = 4096 * 4096
"""Pixels of the maps: larger fields are reduced, so that memory is bounded."""

_STEP = 32  # networks that halve a picture five times need sides of such multiples
_PICTURE = 3  # dimensions of the maps of one field


@dataclass(frozen=True, slots=True, eq=False)
class NetworkSegmenter:
    """Finds cells by the probability maps of a network, which become cells by the watershed of the classical way.

    Attributes
    ----------
    card : ModelCard
        Its unit is "pixel", and its labels name the maps: see `hpa_sdk.models.network_form.MAPS`.
    session : Session
        Runs it.
    sha256 : str
        SHA-256 of the file, in hexadecimal.
    file : pathlib.Path
        Where it was read from, so that other processes can open it too.
    white : White or None
        White level of 16-bit planes.
    settings : SegmentationSettings
        Lengths and shares.
    """

    card: ModelCard
    session: Session
    sha256: str
    file: Path
    white: White | None = None
    settings: SegmentationSettings = field(default_factory=SegmentationSettings)

    @classmethod
    def load(
        cls,
        model: str | os.PathLike[str],
        *,
        device: str = "auto",
        white: White | None = None,
        card: ModelCard | str | os.PathLike[str] | None = None,
    ) -> Self:
        """Open a segmentation network.

        Parameters
        ----------
        model : str or os.PathLike
            The ONNX file.
        device, white, card
            As for `hpa_sdk.Predictor.load`.

        Raises
        ------
        ModelFileError, ModelCardError, DeviceError
            As for `hpa_sdk.Predictor.load`.
        ModelCardError
            The network does not answer for pixels.
        SettingError
            The packages for segmentation are not installed.
        """
        check_packages()
        content = ModelContent.read(Path(model))
        known = check_model(content, as_card(card))
        if known.unit != "pixel":
            raise ModelCardError(
                f"the network {known.name} answers for {known.unit}s, and finds no cells",
                where=content.identity.path,
                remedy="Name a segmentation network, whose card has unit = 'pixel', or leave --segmenter out.",
            )
        settings = SessionSettings(precision=known.precision, tensors=known.tensors)
        session = open_session(content, device, settings)
        return cls(known, session, content.identity.sha256, Path(model).resolve(), white)

    def __repr__(self) -> str:
        return f"NetworkSegmenter({self.card.name!r}, {self.sha256}, {self.settings!r})"

    @property
    def channels(self) -> tuple[str, ...]:
        """The planes that the network takes."""
        return self.card.preprocessing.channels

    def fingerprint(self, id: str) -> str:  # noqa: A002, ARG002 - as Segmenter
        """Name the network and the settings: see `Segmenter.fingerprint`."""
        return f"{VERSION} {self!r} {self.card.to_json()} {self.white!r}"

    def segment(self, planes: Planes, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002 - as Segmenter
        """Find the cells of one field: see `Segmenter.segment`."""
        height, width = planes.shape[1:]
        maps = self._maps(planes, pixel_size, id)
        scores = dict(zip(self.card.labels, maps, strict=True))
        limits = dict(zip(self.card.labels, self.card.thresholds, strict=True))
        inside = np.asarray(scores["nuclei"] >= limits["nuclei"], np.bool_)
        notes: list[str] = []
        if self.card.preprocessing.size is None and height * width > MOST_PIXELS:
            coarser = (height * width / MOST_PIXELS) ** 0.5
            notes.append(f"the field is large: the network saw it {coarser:.2g} times as coarse at least")
        debris = 0
        labels: Labels = np.zeros(inside.shape, np.int32)
        nuclei = labels
        # Of the same area: a field that is no square can be squeezed into one.
        pixel = None if pixel_size is None else pixel_size * (height * width / inside.size) ** 0.5
        pixel = pixel or pixel_size_of(inside, self.settings.nucleus_radius)
        if pixel is not None:
            parts = separated(inside, pixel, self.settings)
            nuclei, debris = np.maximum(parts, 0), -int(parts.min(initial=0))
            area = np.asarray((scores["cells"] >= limits["cells"]) | (nuclei > 0), np.bool_)
            landscape = scores.get("boundaries", -scores["cells"])
            labels = grow(nuclei, area, landscape, pixel, self.settings)
        labels, in_nuclei = at_full_size(labels, nuclei > 0, (height, width))
        if debris:
            notes.append(f"{count_of(debris, 'part')} of the map of nuclei too small")
        cells = cells_in_one_piece(labels, pixel_size)
        if not cells:
            notes.append("the network found no nucleus")
        return Segmentation(
            labels=labels,
            cells=cells,
            pixel_size=pixel_size,
            source=self.card.name,
            notes=tuple(notes),
            nuclei=in_nuclei,
        )

    def _maps(self, planes: Planes, pixel_size: float | None, where: str) -> Floats:
        """Return the maps, float32 of shape (maps, h, w), of the whole field."""
        form = self.card.preprocessing
        height, width = planes.shape[1:]
        factor = min(1.0, (MOST_PIXELS / (height * width)) ** 0.5)
        if form.size is None and pixel_size is not None and self.card.training.pixel_size is not None:
            factor = min(factor, pixel_size / self.card.training.pixel_size)
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        if factor < 1:
            planes = np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes])
        if form.size is None:
            planes = np.pad(planes, ((0, 0), (0, -size[1] % _STEP), (0, -size[0] % _STEP)))
        image, _ = form.model_input(planes, white=self.white, where=where)
        found: npt.NDArray[Any] = self.session.run([image])[0]
        maps = found[0] if form.layout == "nchw" or found.ndim <= _PICTURE else np.moveaxis(found[0], -1, 0)
        if maps.ndim != _PICTURE or len(maps) != len(self.card.labels) or not np.isfinite(maps).all():
            raise ModelFileError(
                f"the network gives {found.shape} for this field, not {len(self.card.labels)} finite maps",
                where=where,
                remedy="Correct the labels and the layout in its card.",
            )
        if form.size is None:
            rows, columns = (
                round(side * length / padded)
                for side, length, padded in zip(maps.shape[1:], size[::-1], planes.shape[1:], strict=True)
            )
            maps = maps[:, :rows, :columns]
        return np.ascontiguousarray(maps, np.float32)
