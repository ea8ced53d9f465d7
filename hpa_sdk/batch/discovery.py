"""Finds the fields of a run one after the other, on this computer and in archives, and counts them meanwhile."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from hpa_sdk.batch.run_ids import RunIds
from hpa_sdk.errors import HpaError
from hpa_sdk.fields.remote.archive import is_address
from hpa_sdk.fields.remote.fields import find_remote_samples
from hpa_sdk.fields.samples import Sample, count_samples, find_samples
from hpa_sdk.prediction import Failure

Root = str | os.PathLike[str] | None


def find_all(paths: Sequence[str], *, recursive: bool, root: Root) -> Iterator[Sample | Failure]:
    """Find the samples that paths mean, as they are drawn.

    Parameters
    ----------
    paths : sequence of str
        Paths in any form of `find_samples`, or addresses of archives.
    recursive, root
        As for `find_samples`.

    Returns
    -------
    iterator of Sample or Failure
        A failure, under the path as its id, where a path leads to no sample. No two fields have one id: where fields of
        several folders have the same name, that of each gets as much of its folder in front as tells them apart. A
        field that is named twice is given once.

    Raises
    ------
    HpaError
        No path leads to a sample: what was wrong with the first.
    """
    found = _found(paths, recursive=recursive, root=root)
    failures: list[Failure] = []
    for item in found:
        if isinstance(item, Sample):
            return chain(failures, [item], found)
        failures.append(item)
    raise failures[0].error


def _found(paths: Sequence[str], *, recursive: bool, root: Root) -> Iterator[Sample | Failure]:
    ids = RunIds()
    # One folder names each of its fields once. Several can hold two fields of one name, and a table can repeat one.
    if len(paths) > 1 or Path(paths[0]).suffix.lower() == ".csv":
        for item in _named(paths, recursive=recursive, root=root):
            if isinstance(item, Sample):
                ids.add(item)
    for item in _named(paths, recursive=recursive, root=root):
        if isinstance(item, Failure):
            yield item
        elif (sample := ids.take(item)) is not None:
            yield sample if sample.problem is None else Failure(sample.id, sample.problem)


def _named(paths: Sequence[str], *, recursive: bool, root: Root) -> Iterator[Sample | Failure]:
    for path in paths:
        try:
            if is_address(path):
                yield from find_remote_samples(path, recursive=recursive)
            else:
                yield from find_samples(path, recursive=recursive, root=root)
        except HpaError as error:
            yield Failure(path, error)


def count_aside(paths: Sequence[str], tell: Callable[[int], None], *, recursive: bool, root: Root = None) -> None:
    """Count what `find_all` finds on a thread of its own, and tell the number as soon as it is known.

    The thread ends with the program, whether or not it is done.
    """

    def count() -> None:
        if len(paths) > 1:
            tell(sum(1 for _ in _found(paths, recursive=recursive, root=root)))
            return
        try:
            if is_address(paths[0]):
                total = sum(1 for _ in find_remote_samples(paths[0], recursive=recursive))
            else:
                total = count_samples(paths[0], recursive=recursive)
        except (HpaError, OSError):
            total = 1  # one row with the reason
        tell(total)

    threading.Thread(target=count, name="hpa-counter", daemon=True).start()
