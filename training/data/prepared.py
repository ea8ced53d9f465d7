"""Stores preprocessed images in one file, so that a fit decodes each plane once instead of dozens of times."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from hpa_sdk.errors import HpaError
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.tables import is_table
from hpa_sdk.models.contract import image_shape
from hpa_sdk.preprocessing import Preprocessing, White
from training.data.dataset import Dataset
from training.data.prepared_build import build
from training.data.prepared_files import WHITE, PreparedFiles, plane_stamps
from training.data.steady_planes import SteadyPlanes
from training.network_forms import STUDY_PREPROCESSING

Images = npt.NDArray[np.float32]
"""float32 of shape (N, size, size, colours), 0 to 1; (N, 299, 299, 3) for the study's networks."""

Rows = npt.NDArray[np.integer[Any]]
"""Row numbers into a data set."""


class PreparedImagesError(HpaError):
    """A file of prepared images can't be read."""


class ImageSource(Protocol):
    """The fields of a data set as the networks see them, by row; thread-safe."""

    def __len__(self) -> int:
        """Return the number of fields."""
        ...

    def __getitem__(self, rows: Rows) -> Images:
        """Return the images of some rows, in their order."""
        ...


class DecodedImages:
    """Images that are decoded from their planes at each request; a plane that changes is refused.

    Parameters
    ----------
    samples : tuple of Sample
        The fields, in the order of their rows.
    white : optional
        White level of 16-bit planes.
    planes : SteadyPlanes, optional
        Reads the planes, if they were read before.
    preprocessing : Preprocessing
        The network's.
    """

    def __init__(
        self,
        samples: tuple[Sample, ...],
        *,
        white: White | None = None,
        planes: SteadyPlanes | None = None,
        preprocessing: Preprocessing = STUDY_PREPROCESSING,
    ) -> None:
        self._samples = samples
        self._preprocessing = preprocessing
        self._white = white
        self._planes = planes or SteadyPlanes()

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, rows: Rows) -> Images:
        images = np.empty((len(rows), *image_shape(self._preprocessing)), np.float32)
        for image, row in zip(images, rows, strict=True):
            sample = self._samples[row]
            image[:] = self._preprocessing(self._planes.read(sample), white=self._white, where=sample.files[0])
        return images


class PreparedImages:
    """Images that were preprocessed before, in a memory-mapped file that `prepare` makes.

    A value is stored as an integer from 0 to 65535, so it differs from the preprocessed one by at most 7.7e-6.

    Parameters
    ----------
    path : pathlib.Path
        An NPY file: uint16 of shape (fields, size, size, colours).

    Raises
    ------
    PreparedImagesError
        The file is missing or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # A plain array: rows of a memory map are memory maps too, and Keras should not get those.
            self._images = np.load(path, mmap_mode="r").view(np.ndarray)
        except (OSError, EOFError, ValueError) as error:
            raise PreparedImagesError(
                f"the prepared images can't be read ({error})", where=path, remedy="Delete the file and prepare again."
            ) from error

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, rows: Rows) -> Images:
        images: Images = self._images[rows].astype(np.float32)
        images *= np.float32(1 / WHITE)
        return images


def prepare(
    dataset: Dataset,
    folder: Path,
    *,
    preprocessing: Preprocessing = STUDY_PREPROCESSING,
    workers: int | None = None,
) -> PreparedImages:
    """Preprocess all fields of a data set into one file, or open the file if it exists already.

    The file belongs to the data set's fingerprint, the location of its planes, the preprocessing, and what the file
    system says of each plane: its size, inode, and times of modification and change. If one of them differs, the
    images are prepared anew. Planes that no longer exist there count as unchanged.
    A build that was stopped for any reason is resumed; a second process that needs the same file waits.

    Parameters
    ----------
    dataset : Dataset
        The fields.
    folder : pathlib.Path
        Where the file is stored, 536 kB a field for the study's networks; made if it is missing.
    preprocessing : Preprocessing
        The network's.
    workers : int, optional
        Threads that decode. Default: one a processor core.

    Raises
    ------
    PlaneError
        Some fields can't be read, or were written while they were read. The message names all of them; the others are
        prepared and are not read again.
    OutputError
        The folder can't be written to, or there is not enough space.
    PreparedImagesError
        The finished file is damaged.
    """
    files = PreparedFiles.of(dataset, folder, preprocessing)
    if not files.complete(plane_stamps(dataset.samples)):
        build(dataset, files, workers=workers)
    return PreparedImages(files.images)


def fields_to_prepare(dataset: Dataset, folder: Path, *, preprocessing: Preprocessing = STUDY_PREPROCESSING) -> int:
    """Count the fields that `prepare` still has to decode."""
    return len(PreparedFiles.of(dataset, folder, preprocessing).unprepared(plane_stamps(dataset.samples)))


def prepared_folder(data: Path) -> Path:
    """Return the folder of prepared images of a data set: ``.prepared``, in the folder of its table.

    Parameters
    ----------
    data : pathlib.Path
        A folder or table as `training.data.dataset.read_dataset` takes it.
    """
    return (data.parent if is_table(data) else data) / ".prepared"
