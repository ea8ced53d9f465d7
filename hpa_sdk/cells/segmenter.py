"""Defines what finds the cells of a field, and what all ways to find them share."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Protocol

from hpa_sdk.cells.cell import Segmentation
from hpa_sdk.errors import SettingError
from hpa_sdk.preprocessing import Planes


class Segmenter(Protocol):
    """Finds the cells of fields: by thresholds, by a network, or in a folder of masks. Any thread may call it."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The planes that it can't do without."""

    def segment(self, planes: Planes, *, id: str, pixel_size: float | None) -> Segmentation:  # noqa: A002 - as Sample's
        """Find the cells of one field.

        Parameters
        ----------
        planes : numpy.ndarray
            uint8 or uint16 of shape (4, H, W), in the order red, green, blue, yellow. A plane that does not exist is
            black.
        id : str
            The field's id.
        pixel_size : float or None
            Micrometres per pixel, if it is known.

        Raises
        ------
        HpaError
            They can't be found. Other fields are not affected.
        """

    def fingerprint(self, id: str) -> str:  # noqa: A002 - as above
        """Describe what the cells of a field depend on beside its planes: settings, a network, or a file of a mask.

        Raises
        ------
        HpaError
            As for `segment`.
        """


def check_packages() -> None:
    """Check that the packages for segmentation are installed.

    Raises
    ------
    SettingError
        One is missing. The message has the install command.
    """
    missing = [name for name in ("scipy", "skimage") if find_spec(name) is None]
    if missing:
        raise SettingError(
            f"the segmentation of cells needs {' and '.join(missing)}",
            remedy="Install them with pip install 'hpa-sdk[cells]', or give masks of the cells.",
        )
