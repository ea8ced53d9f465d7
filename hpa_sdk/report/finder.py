"""Finds the planes of results, and refuses to guess if the match is ambiguous."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hpa_sdk.batch.run_ids import RunIds
from hpa_sdk.errors import HpaError, SampleError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.plane_files import choose_planes, names_by_stem
from hpa_sdk.fields.rules import FieldRules, Files
from hpa_sdk.fields.samples import Channel, Sample
from hpa_sdk.live.field_files import sample_of
from hpa_sdk.results.result import Result

_log = logging.getLogger("hpa_sdk")
_NAME_PLACES = "Name with --planes what was given to hpa predict: the same folders, tables or files."


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPaths:
    """Where fields are searched by the names of results.

    Attributes
    ----------
    paths : sequence of pathlib.Path
        In any form that ``hpa predict`` takes; folders include those below them.
    named_by_user : bool
        Whether the user named them. If not, they come from the provenance of a run, and missing ones are ignored.
    show_unchecked : bool
        Whether to show a field from there even if nothing confirms that it is what was answered.
    """

    paths: Sequence[Path] = ()
    named_by_user: bool = True
    show_unchecked: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanesOfResult:
    """Where the planes of a result may be.

    Attributes
    ----------
    result : Result
        The result.
    own : Sample or None
        The files that the result names; None if they are gone.
    by_name : Sample or HpaError
        A field of the result's name elsewhere, or why there is none.
    may_be_unchecked : bool
        Whether that one is shown even if nothing confirms that it is what was answered.
    """

    result: Result
    own: Sample | None
    by_name: Sample | HpaError
    may_be_unchecked: bool

    def refusal(self) -> SampleError:
        """Create the error for a field of the same name that is not shown."""
        return SampleError(
            "its files are gone, and the field of this name that was found is not known to be the same",
            where=self.result.files[0] if self.result.files else None,
            remedy="Name its folder with --planes to see it all the same, with a caption that it is not checked.",
        )


class PlaneFinder:
    """Finds the planes of results: by the files that a result names, else by its id.

    Parameters
    ----------
    results : iterable of Result
        All results: an id that several of them have finds nothing.
    places : SearchPaths
        Where ids are searched.
    rules : FieldRules, optional
        The rules by which the fields were read. Default: stacks, and four files ``<id>_red``, ...

    Raises
    ------
    SampleError
        A path that the user named has no sample.
    TableError
        A table among these paths can't be used.
    """

    def __init__(self, results: Iterable[Result], places: SearchPaths, rules: FieldRules | None = None) -> None:
        results = list(results)
        unused = {channel for result in results for channel in set(Channel) - set(result.read_channels)}
        self._own_rules = None if rules is None else rules.ignoring(unused)
        self._rules = self._own_rules or FieldRules(files=Files(pattern="hpa")).ignoring(unused)
        self._results = Counter(result.id for result in results)
        self._places = places
        if places.named_by_user:
            _ = self._samples  # a path without a sample is an error, even if it is not needed

    def find(self, result: Result) -> PlanesOfResult:
        """Find the planes of a result.

        Raises
        ------
        SampleError
            They are in none of the named paths, or the match is ambiguous.
        """
        own = self._own(result)
        by_name: Sample | HpaError
        # A search by name can mean listing a whole share, which few results need.
        if own is not None and not self._places.named_by_user:
            by_name = self._not_found(result)
        else:
            try:
                by_name = self._by_name(result)
            except SampleError as error:
                if own is None:
                    raise
                by_name = error
        return PlanesOfResult(result=result, own=own, by_name=by_name, may_be_unchecked=self._places.show_unchecked)

    def _own(self, result: Result) -> Sample | None:
        files = [Path(file) for file in result.files]
        if not files or not all(file.exists() for file in files):
            return None
        if self._own_rules is None and (sample := _plain_sample(result, files)) is not None:
            return sample
        return sample_of(result, self._rules, [files[0].parent])

    def _by_name(self, result: Result) -> Sample:
        found = list(self._samples.get(result.id, {}).values())
        if len(found) == 1 and self._results[result.id] == 1:
            return found[0]
        if found:
            raise SampleError(
                "its planes are not shown, because several fields have this id",
                remedy="Make one report for each folder.",
            )
        raise self._not_found(result)

    def _not_found(self, result: Result) -> SampleError:
        where = result.files[0] if result.files else None
        return SampleError("its planes were not found", where=where, remedy=_NAME_PLACES)

    @cached_property
    def _samples(self) -> dict[str, dict[tuple[Path, ...], Sample]]:
        """The samples of all paths by their ids: as found, and as a run over all of these paths writes them."""
        listed = list(self._listed())
        ids = RunIds()
        for sample in listed:
            ids.add(sample)
        found: dict[str, dict[tuple[Path, ...], Sample]] = {}
        for sample in listed:
            files = tuple(file.resolve() for file in sample.files)
            found.setdefault(sample.id, {})[files] = sample
            if (taken := ids.take(sample)) is not None:
                found.setdefault(taken.id, {})[files] = sample
        return found

    def _listed(self) -> Iterator[Sample]:
        for path in self._places.paths:
            try:
                yield from find_samples(path, recursive=True)
            except HpaError as error:
                if self._places.named_by_user:
                    raise
                _log.warning("No planes are looked for in a place that the results come from: %s", error)


def _plain_sample(result: Result, files: Sequence[Path]) -> Sample | None:
    """Return the sample of plain pictures in one folder, as ``hpa predict`` reads them; None for other files."""
    stems = names_by_stem(file.name for file in files)
    if len({file.parent for file in files}) > 1 or len(stems) != 1:
        return None
    (chosen,) = (choose_planes(names, files[0].with_name(stem)).names for stem, names in stems.items())
    if not len(chosen) == len(result.read_channels) == len(files):
        return None
    # A channel that the model does not take may have no file.
    names = (chosen.get(channel, f"{result.id.rpartition('/')[2]}_{channel}") for channel in Channel)
    return Sample(result.id, tuple(map(files[0].with_name, names)))
