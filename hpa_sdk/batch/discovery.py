"""Finds the fields of a run one by one, on this computer and in archives, and counts them in the background."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from hpa_sdk.batch.run_ids import RunIds
from hpa_sdk.errors import HpaError
from hpa_sdk.fields.finding import count_samples, find_samples
from hpa_sdk.fields.remote.archive import is_address
from hpa_sdk.fields.remote.fields import find_remote_samples
from hpa_sdk.fields.rules import FieldRules
from hpa_sdk.fields.samples import Sample
from hpa_sdk.fields.tables import is_table
from hpa_sdk.prediction import Failure

Root = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    recursive: bool
    root: Root
    rules: FieldRules | None
    stack_rules: FieldRules | None

    def samples(self, path: str) -> Iterator[Sample]:
        if is_address(path):
            unused = (self.rules or self.stack_rules or FieldRules()).unused
            return find_remote_samples(path, recursive=self.recursive, unused=unused)
        return find_samples(
            path, recursive=self.recursive, root=self.root, rules=self.rules, stack_rules=self.stack_rules
        )


def find_all(
    paths: Sequence[str],
    *,
    recursive: bool,
    root: Root,
    rules: FieldRules | None = None,
    stack_rules: FieldRules | None = None,
) -> Iterator[Sample | Failure]:
    """Find the samples of paths, lazily.

    Parameters
    ----------
    paths : sequence of str
        Paths in any form of `find_samples`, or addresses of archives.
    recursive, root, rules, stack_rules
        As for `find_samples`; archives contain planes by colour only.

    Returns
    -------
    iterator of Sample or Failure
        For a path that leads to no sample, a failure with the path as its id. Ids are unique: where fields of several
        folders have the same name, each id starts with as much of its folder as makes it unique. A field that is named
        twice is returned once.

    Raises
    ------
    HpaError
        No path leads to a sample: the error of the first path.
    """
    found = _found(paths, _Search(recursive=recursive, root=root, rules=rules, stack_rules=stack_rules))
    failures: list[Failure] = []
    for item in found:
        if isinstance(item, Sample):
            return chain(failures, [item], found)
        failures.append(item)
    raise failures[0].error


def _found(paths: Sequence[str], search: _Search) -> Iterator[Sample | Failure]:
    ids = RunIds()
    # One folder has each name once. Several folders can have the same name, and a table can repeat one.
    if len(paths) > 1 or is_table(Path(paths[0])):
        for item in _named(paths, search):
            if isinstance(item, Sample):
                ids.add(item)
    for item in _named(paths, search):
        if isinstance(item, Failure):
            yield item
        elif (sample := ids.take(item)) is not None:
            yield sample if sample.problem is None else Failure(sample.id, sample.problem)


def _named(paths: Sequence[str], search: _Search) -> Iterator[Sample | Failure]:
    for path in paths:
        try:
            yield from search.samples(path)
        except HpaError as error:
            yield Failure(path, error)


def count_aside(
    paths: Sequence[str],
    on_total: Callable[[int], None],
    *,
    recursive: bool,
    root: Root = None,
    rules: FieldRules | None = None,
) -> None:
    """Count what `find_all` finds on a separate thread, and report the number when it is known.

    The thread ends with the program, even if it is not finished.
    """

    def count() -> None:
        search = _Search(recursive=recursive, root=root, rules=rules, stack_rules=None)
        if len(paths) > 1:
            on_total(sum(1 for _ in _found(paths, search)))
            return
        try:
            if is_address(paths[0]):
                total = sum(1 for _ in search.samples(paths[0]))
            else:
                total = count_samples(paths[0], recursive=recursive, rules=rules)
        except (HpaError, OSError):
            total = 1  # one row with the reason
        on_total(total)

    threading.Thread(target=count, name="hpa-counter", daemon=True).start()
