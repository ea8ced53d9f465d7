"""Finds the planes of results again, and refuses to guess where two fields could be meant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hpa_sdk.errors import SampleError
from hpa_sdk.live.field_files import sample_of
from hpa_sdk.samples import Sample, find_samples
from hpa_sdk.workstation.results import Result
from hpa_sdk.workstation.station import Files, Station


class PlaneFinder:
    """Finds the planes of results: by the files that a result names, else by its id.

    Parameters
    ----------
    results : iterable of Result
        All results: an id that several of them have finds nothing by itself.
    places : sequence of pathlib.Path
        Where ids are looked for, in any form that ``hpa predict`` takes; folders with those below them.
    station : Station, optional
        The rules by which ``hpa watch`` read the fields. Default: stacks, and four files ``<id>_red``, ...

    Raises
    ------
    SampleError
        A place holds no sample.
    TableError
        A table among the places can't be used.
    """

    def __init__(self, results: Iterable[Result], places: Sequence[Path], station: Station | None = None) -> None:
        self._station = station or Station(model=Path(), watch=Path(), output=Path(), files=Files(pattern="hpa"))
        self._results = Counter(result.id for result in results)
        self._places = places
        self._samples: dict[str, dict[tuple[Path, ...], Sample]] = {}
        for place in places:
            for sample in find_samples(place, recursive=True):
                files = tuple(file.resolve() for file in sample.files)
                self._samples.setdefault(sample.id, {})[files] = sample

    def find(self, result: Result) -> Sample:
        """Find the planes of a result.

        Raises
        ------
        SampleError
            They lie nowhere that was named, or two fields could be meant.
        """
        if result.files and all(Path(file).exists() for file in result.files):
            return sample_of(result, self._station, [Path(result.files[0]).parent])
        found = list(self._samples.get(result.id, {}).values())
        if len(found) == 1 and self._results[result.id] == 1:
            return found[0]
        if found:
            raise SampleError(
                "its planes are not shown, because several fields have this id",
                remedy="Make one report for each folder.",
            )
        where = result.files[0] if result.files else None
        raise SampleError(
            "its planes were not found",
            where=where,
            remedy="Name with --planes what was given to hpa predict: the same folders, tables or files.",
        )
