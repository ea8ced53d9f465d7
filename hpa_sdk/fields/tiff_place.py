"""Says where each plane of a field lies in TIFF files."""

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
    """Where a plane lies.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    directory : int
        Offset of its tags.
    sample : int or None
        Which of the planar samples of that picture it is.
    pixels : int or None
        Offset of its pixels, if the tags are those of another plane: the planes of some stacks follow each other
        without tags of their own. None: where the tags say.
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
            They are not there, or damaged.
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
        # Planes without tags have no gaps, whatever parts the first is said to have.
        if layout.compression != UNCOMPRESSED or self.pixels + layout.nbytes > tags.file_size:
            raise damaged("its planes do not follow each other in the file", self.path)
        parts = ((self.pixels, layout.nbytes),)
        return replace(layout, tiled=False, part_height=layout.height, part_width=layout.width, parts=parts)


@dataclass(frozen=True, slots=True)
class Picture:
    """Where the planes of a scene lie, and what is known of them.

    Attributes
    ----------
    places : mapping of (int, int) to Place
        Where the plane of each channel and z lies.
    names : sequence of str
        Names of the channels; they count for nothing if they are fewer or more than channels.
    pixel_size : float or None
        Micrometres a pixel.
    notes : tuple of str
        What is to be noted of the file.
    """

    places: Mapping[tuple[int, int], Place]
    names: Sequence[str] = ()
    pixel_size: float | None = None
    notes: tuple[str, ...] = ()


Look = Callable[[], Picture]
"""Looks for the planes of one scene; raises `PlaneError` where its form is not that of a field."""


def check_count(count: int, path: Path) -> None:
    """Check how many planes a description gives, before anything is done for each of them.

    Raises
    ------
    PlaneError
        They are more than any file of a field has.
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
    """Remembers the state of further files that a field is read from, so that a change meanwhile is noticed."""

    def __init__(self) -> None:
        self._states: dict[Path, FileState] = {}
        self._descriptions: set[Path] = set()

    def add(self, path: Path, *, describes: bool = False) -> None:
        """Remember a file as it is now, before it is read.

        Parameters
        ----------
        path : pathlib.Path
            The file.
        describes : bool
            Whether it says where planes are, and so belongs to all fields that are described there.

        Raises
        ------
        PlaneError
            It is not there, or is being written.
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
        """Give those of a field whose planes are in some files, as they were when they were added, sorted by path."""
        return tuple(self._states[path] for path in sorted(self._states.keys() & {*planes_in, *self._descriptions}))

    def check(self) -> None:
        """Make sure that all are as they were.

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
