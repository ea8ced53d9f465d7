"""Finds files of a field that belong to an earlier writing than the others, so that no answer mixes them silently."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hpa_sdk.files.file_state import FileStamp
from hpa_sdk.results.result_ledger import Ledger
from hpa_sdk.workstation.watched_files import count_chunks, is_folder

_SECOND = 10**9
_NAMED = 12


@dataclass(frozen=True, slots=True)
class EarlierWriting:
    """The part of a field that is older than the rest of it.

    Attributes
    ----------
    rewritten : bool
        Whether the field was answered before and is being written again: its older files may be written again as well.
    note : str
        Which files belong to the earlier writing, and when they were written; empty if there are none.
    """

    rewritten: bool = False
    note: str = ""


def find_earlier(
    stamps: Mapping[str, FileStamp], ledger: Ledger, folder: Path, *, apart_seconds: float
) -> EarlierWriting:
    """Compare the files of a field with what the ledger knows of them.

    Parameters
    ----------
    stamps : mapping of str to FileStamp
        The field's files by their names below the watched folder.
    ledger : Ledger
        The processed files, in their state at that time.
    folder : pathlib.Path
        The watched folder.
    apart_seconds : float
        By how much a new file may be written later than the others without a note.
    """
    known = {name: ledger.stamp(name) for name in stamps}
    again = {name: was for name, was in known.items() if was is not None and not was.matches(stamps[name])}
    earlier = [name for name, was in known.items() if was is not None and name not in again]
    if again and earlier:
        return EarlierWriting(rewritten=True, note=_note_of(earlier, stamps))
    for name, was in again.items():
        if is_folder(name) and (note := _note_of_chunks(folder, name, was)):
            return EarlierWriting(rewritten=True, note=note)
    new = [name for name in stamps if known[name] is None]
    if earlier and new and _last(new, stamps) - _last(earlier, stamps) > apart_seconds * _SECOND:
        return EarlierWriting(note=_note_of(earlier, stamps))
    return EarlierWriting()


def _note_of(names: list[str], stamps: Mapping[str, FileStamp]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    times = sorted(stamps[name].modified or 0 for name in names)
    written = _time(times[0]) if times[-1] - times[0] < _SECOND else f"{_time(times[0])} to {_time(times[-1])}"
    return f"of an earlier writing than the other files: {', '.join(names[:_NAMED])}{more} (written {written})"


def _note_of_chunks(folder: Path, name: str, was: FileStamp) -> str:
    old, every = count_chunks(folder / name, was)
    if not old:
        return ""
    return f"{old} of {every} chunk files in {name} are of an earlier writing (written {_time(was.modified or 0)})"


def _last(names: Iterable[str], stamps: Mapping[str, FileStamp]) -> int:
    return max(stamps[name].modified or 0 for name in names)


def _time(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // _SECOND, UTC).isoformat()
