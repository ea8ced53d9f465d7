"""Records the position of each plane of a field in TIFF files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hpa_sdk.errors import PlaneError
from hpa_sdk.fields.planes import COPY_AGAIN, damaged
from hpa_sdk.fields.reading import settled
from hpa_sdk.fields.tiff_directory import Directory, read_directory
from hpa_sdk.fields.tiff_layout import UNCOMPRESSED, Layout, layout_of
from hpa_sdk.files.file_state import FileState

_MOST_PLANES = 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """The position of a plane.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    directory : int
        Offset of its tags in the file.
    sample : int or None
        Its index among the planar samples of that picture.
    pixels : int or None
        Offset of its pixels, if the tags are those of another plane: in some stacks, planes follow each other without
        their own tags. None: as the tags say.
    """

    path: Path
    directory: int
    sample: int | None = None
    pixels: int | None = None

    def tags(self) -> Directory:
        """Read its tags.

        Raises
        ------
        PlaneError
            They are missing or damaged.
        """
        if not self.directory:
            raise PlaneError("a page of it is not there", where=self.path, remedy=COPY_AGAIN)
        with self.path.open("rb") as file:
            return read_directory(file, self.path, self.directory)

    def layout(self) -> Layout:
        """Check its form.

        Raises
        ------
        PlaneError
            As for `hpa_sdk.fields.tiff_layout.layout_of`.
        """
        tags = self.tags()
        layout = layout_of(tags, self.path, self.sample)
        if self.pixels is None:
            return layout
        # Planes without tags have no gaps, regardless of the parts in the tags of the first.
        if layout.compression != UNCOMPRESSED or self.pixels + layout.nbytes > tags.file_size:
            raise damaged("its planes do not follow each other in the file", self.path)
        parts = ((self.pixels, layout.nbytes),)
        return replace(layout, tiled=False, part_height=layout.height, part_width=layout.width, parts=parts)


@dataclass(frozen=True, slots=True)
class Picture:
    """The positions of the planes of a scene, and its metadata.

    Attributes
    ----------
    places : mapping of (int, int) to Place
        The position of the plane of each channel and z.
    names : sequence of str
        Names of the channels. They are not used if their number differs from the number of channels.
    pixel_size : float or None
        Micrometres per pixel.
    notes : tuple of str
        Remarks about the file.
    """

    places: Mapping[tuple[int, int], Place]
    names: Sequence[str] = ()
    pixel_size: float | None = None
    notes: tuple[str, ...] = ()


Look = Callable[[], Picture]
"""Finds the planes of one scene. Raises `PlaneError` if the scene does not have the form of a field."""


def check_count(count: int, path: Path) -> None:
    """Check the number of planes in a description, before any of them is processed.

    Raises
    ------
    PlaneError
        There are more planes than any file of a field has.
    """
    if count > _MOST_PLANES:
        raise damaged(f"its description gives {count} planes", path)


class PartError(PlaneError):
    """A file has no field of its own: its planes belong to the field of another file.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    holder : pathlib.Path
        The file whose field they belong to.
    """

    def __init__(self, path: Path, holder: Path) -> None:
        self.holder = holder
        super().__init__(
            f"its planes belong to the field of {holder.name}, and are read with that file",
            where=path,
            remedy=f"Leave it where it is, and name {holder.name} for the field.",
        )


class Others:
    """Records the state of additional files that a field is read from, to detect changes while it is read."""

    def __init__(self) -> None:
        self._states: dict[Path, FileState] = {}
        self._descriptions: set[Path] = set()

    def add(self, path: Path, *, describes: bool = False) -> None:
        """Record the state of a file, before it is read.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        describes : bool
            Whether it gives the positions of planes, and so belongs to all fields that it describes.

        Raises
        ------
        PlaneError
            It is missing, or is being written.
        """
        if describes:
            self._descriptions.add(path)
        if path in self._states:
            return
        (state,) = settled((path,))
        if state is None:
            raise PlaneError("a further file of the field is not there", where=path, remedy=COPY_AGAIN)
        self._states[path] = state

    def of_field(self, planes_in: Iterable[Path]) -> tuple[FileState, ...]:
        """Return the recorded states of the files of a field, given the files of its planes, sorted by path."""
        return tuple(self._states[path] for path in sorted(self._states.keys() & {*planes_in, *self._descriptions}))

    def check(self) -> None:
        """Check that all files are unchanged.

        Raises
        ------
        PlaneError
            One was written, replaced or removed.
        """
        for path, state in self._states.items():
            if not path.exists() or FileState.of(path) != state:
                raise PlaneError(
                    "the file was changed while its field was read",
                    where=path,
                    remedy="Predict the field again when nobody writes to it any more.",
                )
