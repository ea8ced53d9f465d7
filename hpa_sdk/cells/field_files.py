"""Names the files that a run writes for each field, and never lets two fields have one file."""

from __future__ import annotations

import os
import re
from pathlib import Path

from hpa_sdk.errors import OutputError, SettingError

# What Windows refuses in a name or as one, and a folder of the parent.
_UNSAFE = re.compile(
    r'[<>:"|?*\\\x00-\x1f\x7f]|^\.{1,2}$|[ .]$|^(?:con|prn|aux|nul|com\d|lpt\d)(?=\.|$)', re.IGNORECASE
)

_LONGEST_FOLDER = 255  # bytes
_LONGEST = _LONGEST_FOLDER - len(".12345678.")  # a partial file has this before its name


def file_name(id: str) -> str:  # noqa: A002 - the field's own word
    """Return the name of a field's files without its ending, with slashes; it never leaves the folder."""
    return "/".join(_UNSAFE.sub("_", part) for part in id.split("/") if part) or "_"


class FieldFiles:
    """The files of fields in one folder. The id ``plate/A01`` gives the folder ``plate`` in it.

    Parameters
    ----------
    folder : pathlib.Path
        The folder; made with the first file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ids: dict[str, str] = {}

    def path(self, id: str, ending: str) -> Path:  # noqa: A002 - the field's own word
        """Return the path of a file of a field, and make its folder.

        Parameters
        ----------
        id : str
            The field's id.
        ending : str
            What follows the id, such as ``_cells.ome.tif``.

        Raises
        ------
        SettingError
            Another field has this file, or its name is too long for a file.
        OutputError
            The folder can't be made.
        """
        name = file_name(id)
        # File names on Windows and macOS differ by more than the case of their letters.
        if self._ids.setdefault(name.casefold(), id) != id:
            raise SettingError(
                f"the fields {self._ids[name.casefold()]!r} and {id!r} would have one file ({name}{ending})",
                where=self.folder,
                remedy="Give the fields names that differ in letters or digits, or separate folders.",
            )
        path = self.folder / f"{name}{ending}"
        *folders, length = (len(os.fsencode(part)) for part in f"{name}{ending}".split("/"))
        if length > _LONGEST or max(folders, default=0) > _LONGEST_FOLDER:
            raise SettingError(
                f"the id of the field is too long for the name of a file ({name[:40]}...{ending})",
                where=self.folder,
                remedy="Give the field a shorter name.",
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"the folder can't be made ({error.strerror or error})",
                where=path.parent,
                remedy="Name a folder that you may write to.",
            ) from error
        return path
