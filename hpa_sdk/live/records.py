"""Says what the interface for programs answers, so that its description and its answers are the same."""

from __future__ import annotations

from dataclasses import dataclass

from hpa_sdk.live.notices import Notice
from hpa_sdk.results.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberedResult(Result):
    """A result, as in the files that a hot folder writes, with its number.

    Attributes
    ----------
    number : int
        Grows from result to result; a field that is answered again gets a new one.
    store : str
        The identity of the store that the number is of. Another store numbers its results anew.
    """

    number: int
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultPage:
    """Some results, newest first.

    Attributes
    ----------
    results : list of NumberedResult
        The results.
    next : int or None
        What to give as `before` for those that follow; None where there are no more.
    store : str
        The identity of the store, to be given as `store` with `before`.
    """

    results: list[NumberedResult]
    next: int | None
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What became of the fields that were sent: one, or one for each scene of a stack."""

    results: list[NumberedResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something was refused or failed.

    Attributes
    ----------
    what : str
        What was wrong, as a clause without a full stop.
    where : str or None
        The file or folder it was found in.
    remedy : str
        What to do about it, as a full sentence.
    """

    what: str
    where: str | None = None
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The model that answers.

    Attributes
    ----------
    name, architecture, precision : str
        As its card has them; the precision with the way to compute where it is another than usual.
    sha256 : str
        SHA-256 of its file when it was loaded, in hexadecimal.
    """

    name: str
    architecture: str
    precision: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """How things stand.

    Attributes
    ----------
    status : str
        ``"ok"``, or ``"trouble"`` where `troubles` has an entry.
    version : str
        Of hpa_sdk.
    model : Model
        The model that answers.
    device : str
        The device that runs it, as the runtime tells it.
    providers : tuple of str
        onnxruntime's providers in use.
    watching : str or None
        The folder that this process watches.
    labels : tuple of str
        HPA names of the 28 classes.
    label_counts : tuple of int
        In how many results each label is.
    results, failed : int
        Number of results, and of those that failed.
    newest : int
        Number of the newest result, 0 where there is none.
    store : str
        The identity of the store that the results are in.
    troubles : tuple of str
        What is wrong now.
    notices : tuple of Notice
        The last warnings since the start, oldest first.
    largest_upload : int
        Bytes that one request may send.
    """

    status: str
    version: str
    model: Model
    device: str
    providers: tuple[str, ...]
    watching: str | None
    labels: tuple[str, ...]
    label_counts: tuple[int, ...]
    results: int
    failed: int
    newest: int
    store: str
    troubles: tuple[str, ...]
    notices: tuple[Notice, ...]
    largest_upload: int
