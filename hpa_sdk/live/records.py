"""Response types of the HTTP interface, from which its description is made too, so that both are the same."""

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
        Increases from result to result; a field that is answered again gets a new one.
    store : str
        The identity of the store that the number belongs to. Another store has its own numbers.
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
        The value of `before` for the results that follow; None if there are no more.
    store : str
        The identity of the store, to be sent as `store` with `before`.
    """

    results: list[NumberedResult]
    next: int | None
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """The results of the fields that were sent: one, or one for each scene of a stack."""

    results: list[NumberedResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why something was refused or failed.

    Attributes
    ----------
    what : str
        The problem, as a clause without a full stop.
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
    """The model that answers, or the models of an ensemble.

    Attributes
    ----------
    name, architecture, precision : str
        From its card; the precision includes the way to compute if it is not the usual one. Of several, joined by "+".
    sha256 : str
        SHA-256 of its file when it was loaded, in hexadecimal; of an ensemble, of its models and views together. That
        of results.
    models : tuple of str
        SHA-256 of each model file.
    views : int
        How many views of a field each model runs on.
    warning : str
        What its card says that it must not be used for; empty if nothing.
    """

    name: str
    architecture: str
    precision: str
    sha256: str
    models: tuple[str, ...]
    views: int
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of the server.

    Attributes
    ----------
    status : str
        ``"ok"``, or ``"trouble"`` if `troubles` has an entry.
    version : str
        Of hpa_sdk.
    model : Model
        The model that answers.
    device : str
        The device that runs it, as the runtime reports it.
    providers : tuple of str
        onnxruntime's providers in use.
    watching : str or None
        The folder that this process watches.
    labels : tuple of str
        Names of the classes that the model answers with.
    cells : bool
        Whether the cells of fields are answered too.
    cell_colours : tuple of str
        The colour of each class in outlines of cells, as CSS takes it, and last that of cells without a label.
    label_counts : tuple of int
        Number of results with each label.
    results, failed : int
        Number of results, and of those that failed.
    newest : int
        Number of the newest result, 0 if there is none.
    store : str
        The identity of the store that the results are in.
    troubles : tuple of str
        The current problems.
    notices : tuple of Notice
        The last warnings since the start, oldest first.
    largest_upload : int
        Maximum bytes of one request.
    """

    status: str
    version: str
    model: Model
    device: str
    providers: tuple[str, ...]
    watching: str | None
    labels: tuple[str, ...]
    cells: bool
    cell_colours: tuple[str, ...]
    label_counts: tuple[int, ...]
    results: int
    failed: int
    newest: int
    store: str
    troubles: tuple[str, ...]
    notices: tuple[Notice, ...]
    largest_upload: int
