"""Finds the models that lie in the package itself, which need neither a network nor a folder of fetched models."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from pathlib import Path

from hpa_sdk.errors import ModelFileError
from hpa_sdk.models.catalogue_entry import CATALOGUE_NAME, CatalogueEntry, check_file, parse_catalogue
from hpa_sdk.models.onnx_file import file_sha256


@lru_cache
def built_in_catalogue() -> dict[str, CatalogueEntry]:
    """Return the entries of the package's own catalogue. The addresses of packaged models are paths."""
    catalogue = resources.files("hpa_sdk.models").joinpath(CATALOGUE_NAME)
    return parse_catalogue(catalogue.read_text(encoding="utf-8"), str(catalogue))


def is_packaged(entry: CatalogueEntry) -> bool:
    """Whether this is the entry of a model that lies in the package."""
    return not entry.on_the_web and Path(entry.address).parent == _folder()


def packaged_entry(file: Path) -> tuple[str, CatalogueEntry] | None:
    """Return name and entry of a file in the package; None if it is no packaged model."""
    file = file.absolute()
    if file.parent != _folder():
        return None
    return next((item for item in built_in_catalogue().items() if item[1].address == str(file)), None)


def packaged_file(name: str, entry: CatalogueEntry) -> Path:
    """Return the file of a packaged model.

    Raises
    ------
    ModelFileError
        This installation lacks it.
    """
    file = Path(entry.address)
    if not file.is_file():
        raise ModelFileError(
            f"this installation of hpa-sdk has no file of the model {name}",
            where=file,
            remedy="Install hpa-sdk again. A package that is run from inside a zip archive can't open its models.",
        )
    return file


def verify_packaged(name: str, entry: CatalogueEntry) -> None:
    """Refuse a packaged model that is not the one of this release.

    Raises
    ------
    ModelFileError
        It is not here, or has another SHA-256.
    """
    file = packaged_file(name, entry)
    check_file(file, name, entry, found=file_sha256(file))


@lru_cache
def _folder() -> Path:
    return Path(str(resources.files("hpa_sdk.models"))).absolute()
