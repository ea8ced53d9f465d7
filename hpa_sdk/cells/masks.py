"""Finds and checks label images that another program made: one for each field, by the field's id."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from hpa_sdk.cells.cell import Cell, Segmentation
from hpa_sdk.cells.mask_file import LABEL_IMAGE, read_labels
from hpa_sdk.cells.regions import cells_of
from hpa_sdk.errors import PlaneError, SettingError, count_of
from hpa_sdk.fields.channel_stack import load
from hpa_sdk.fields.planes import plane_errors
from hpa_sdk.fields.samples import Channel
from hpa_sdk.files.file_state import FileStamp, FileState, escaped
from hpa_sdk.preprocessing import Planes

ENDINGS = (
    *("_cells", "_cell", "_cellmask", "_cell_mask", "_cp_masks", "_masks", "_mask"),
    *("_labels", "_label", "_seg", "_segmentation"),
)
"""What may stand behind the id in the name of a mask: of HPA-Cell-Segmentation (``_cellmask``), cellpose
(``_cp_masks``) and others. A name that is the id alone counts if no other does."""

# The output prefix of HPA-Cell-Segmentation is often an id with an underscore.
_AFTER_PREFIX = tuple(f"_{ending}" for ending in ENDINGS)

EXTENSIONS = (".ome.zarr", ".zarr", ".ome.tiff", ".ome.tif", ".tiff", ".tif", ".png")
"""The formats of masks."""

# What programs call every picture.
_GENERIC = re.compile(
    r"(?:image|picture|series|scene|labels?|masks?|cells?|segmentation|default|untitled)?[\s_:#.-]*\d*", re.IGNORECASE
)
_SEMANTIC = (1, 255, 65_535)
_MOST_NAMED = 5
_SAME_SIZE = 0.02
_BLUE = tuple(Channel).index(Channel.BLUE)
_LEAST_BACKGROUND = 0.02
_BY_CHANCE = 0.25


class MaskFolder:
    """A folder of label images.

    Parameters
    ----------
    folder : pathlib.Path
        The folder. Fields whose id has a folder (``plate_1/A01``) have their mask in a folder of the same name in it.

    Raises
    ------
    SettingError
        There is no such folder.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise SettingError("there is no such folder of masks", where=folder, remedy="Name the folder of the masks.")
        # A copy for another process, which can have another working folder, means the same files.
        self._folder = folder.absolute()
        self._listed: dict[Path, tuple[FileStamp, dict[str, list[Path]]]] = {}

    def __repr__(self) -> str:
        return f"MaskFolder({str(self._folder)!r})"

    channels = ()
    """It needs no planes: see `hpa_sdk.cells.segmenter.Segmenter`."""

    def segment(self, planes: Planes, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002 - as `read`
        """Read the mask of a field: see `hpa_sdk.cells.segmenter.Segmenter.segment`."""
        return self.read(id, (planes.shape[1], planes.shape[2]), pixel_size=pixel_size, planes=planes)

    def fingerprint(self, id: str) -> str:  # noqa: A002 - as `read`
        """Describe the file of a field's mask and its state: see `hpa_sdk.cells.segmenter.Segmenter.fingerprint`."""
        path = self.find(id)
        with _mask_errors(path):
            return repr(FileState.of(path))

    def find(self, id: str) -> Path:  # noqa: A002 - the field's own word
        """Find the mask of a field.

        Raises
        ------
        PlaneError
            There is none, or more than one, or the folder can't be read.
        """
        place, _, name = id.rpartition("/")
        names = self._names_in(self._folder / place) if ".." not in place.split("/") else {}
        for endings in ((*ENDINGS, *_AFTER_PREFIX), ("",)):
            found = sorted({path for ending in endings for path in names.get(name + ending, ())})
            if len(found) == 1:
                return found[0]
            if found:
                raise PlaneError(
                    f"{count_of(len(found), 'mask')} could be that of the field: "
                    + ", ".join(path.name for path in found[:_MOST_NAMED]),
                    where=id,
                    remedy=f"Leave one of them in {self._folder}.",
                )
        raise PlaneError(
            "the field has no mask",
            where=id,
            remedy=f"Put it into {self._folder / place} as {name}_cells.tif or {name}.png, or under another name that"
            " the documentation lists.",
        )

    def read(
        self,
        id: str,  # noqa: A002 - the field's own word
        shape: tuple[int, int],
        *,
        pixel_size: float | None = None,
        planes: Planes | None = None,
    ) -> Segmentation:
        """Read the mask of a field.

        Parameters
        ----------
        id : str
            The field's id.
        shape : tuple of int
            Height and width of its planes.
        pixel_size : float, optional
            Micrometres per pixel of the planes. Default: that of the mask, if it has one.
        planes : numpy.ndarray, optional
            uint8 or uint16 of shape (4, H, W): the planes, to check that the nuclei lie in the cells.

        Returns
        -------
        Segmentation
            The numbers of the cells are those of the mask. Its notes say what is unusual.

        Raises
        ------
        PlaneError
            There is no mask or more than one, it can't be read, it has another size than the planes, or it is no label
            image.
        """
        path = self.find(id)
        with _mask_errors(path):
            labels, own_size, name, notes = read_labels(path)
        if labels.shape != shape:
            raise PlaneError(
                f"the mask has {labels.shape[1]}x{labels.shape[0]} pixels, and the field {shape[1]}x{shape[0]}",
                where=path,
                remedy="Segment the planes of this field at their full size, without turning them.",
            )
        cells = cells_of(labels, pixel_size or own_size)
        return Segmentation(
            labels=labels,
            cells=cells,
            pixel_size=pixel_size or own_size,
            source=path.name,
            notes=(
                *notes,
                *_name_notes(name, path, id),
                *_size_notes(own_size, pixel_size),
                *(_piece_notes(labels, cells, path) if cells else ("the mask has no cells",)),
                *(() if planes is None or not cells else _nuclei_notes(labels, planes[_BLUE])),
            ),
        )

    def _names_in(self, folder: Path) -> dict[str, list[Path]]:
        with _mask_errors(folder):
            if not folder.is_dir():
                return {}
            stamp = FileStamp.of_status(folder.stat())
            before, known = self._listed.get(folder, (None, {}))
            if stamp == before:
                return known
            # Before the listing: what comes within one tick of the clock leaves the stamp as it is.
            unsettled = stamp.unsettled_seconds
            names: defaultdict[str, list[Path]] = defaultdict(list)
            for path in folder.iterdir():
                stem = _stem_of(path.name)
                if stem and not path.name.startswith("."):
                    names[stem].append(path)
            if not unsettled:
                self._listed[folder] = stamp, names
            return names


@contextmanager
def _mask_errors(path: Path) -> Iterator[None]:
    try:
        with plane_errors(path):
            yield
    except FileNotFoundError as error:
        raise PlaneError("the mask is gone", where=path, remedy="Put it there again.") from error


def _stem_of(name: str) -> str:
    lower = name.lower()
    return next((name[: -len(extension)] for extension in EXTENSIONS if lower.endswith(extension)), "")


def _name_notes(name: str, path: Path, id: str) -> Iterator[str]:  # noqa: A002 - the field's own word
    stem = _stem_of(name) or name
    known = {*map(escaped, (id, id.rpartition("/")[2], _stem_of(path.name), path.name))}
    if not _GENERIC.fullmatch(stem) and known.isdisjoint({escaped(name), escaped(stem)}):
        yield f"the metadata of the mask name it {name!r}: check that it is of this field"


def _size_notes(own: float | None, field: float | None) -> Iterator[str]:
    if own and field and abs(own / field - 1) > _SAME_SIZE:
        yield f"the mask has pixels of {own:g} um and the field of {field:g} um: that of the field is used"


def _piece_notes(labels: npt.NDArray[np.int32], cells: tuple[Cell, ...], path: Path) -> Iterator[str]:
    measure = load("skimage.measure", extra="cells", path=path)
    pieces = measure.label(labels, background=0, connectivity=2)
    number_of = np.zeros(int(pieces.max()) + 1, np.int32)
    number_of[pieces.ravel()] = labels.ravel()  # all pixels of a piece have one number
    numbers, counts = np.unique(number_of[1:], return_counts=True)
    split = numbers[counts > 1].tolist()
    if split and len(cells) == 1 and split[0] in _SEMANTIC:
        raise PlaneError(
            f"the mask has one number alone ({split[0]}), in separate places: it shows where cells are, and not which"
            " pixels are of one cell",
            where=path,
            remedy=LABEL_IMAGE,
        )
    if split:
        named = ", ".join(map(str, split[:_MOST_NAMED])) + (", ..." if len(split) > _MOST_NAMED else "")
        yield f"{count_of(len(split), 'cell')} of the mask in several pieces: {named}"


def _nuclei_notes(labels: npt.NDArray[np.int32], blue: Planes) -> Iterator[str]:
    """Compare the share of nuclear pixels inside the cells with the share of all pixels that are inside.

    They are equal, apart from chance, if mask and planes do not belong together.
    """
    inside = labels > 0
    covered = float(inside.mean())
    if blue.max() == blue.min() or covered > 1 - _LEAST_BACKGROUND:
        return
    level, _ = cv2.threshold(blue, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    held = float(inside[blue > level].mean())
    if held < covered + _BY_CHANCE * (1 - covered):
        yield (
            f"{held:.0%} of the nuclei lie in the cells of the mask, which cover {covered:.0%} of the field: the mask"
            " may be of another field"
        )
