"""Opens what a run remembers of those before it, beside its output and for this run alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hpa_sdk.batch.answer_ledger import AnswerLedger
from hpa_sdk.batch.answers import AnswerCache
from hpa_sdk.batch.fingerprint import Comparison


def ledger_path(output: Path) -> Path:
    """Give the place of an output's ledger: beside it."""
    return output.with_name(f"{output.name}.ledger")


@contextmanager
def open_answer_cache(
    output: Path,
    settings: str,
    comparison: Comparison,
    *,
    thresholds: npt.NDArray[np.float32],
    device: str,
    log: Callable[[str], None],
) -> Iterator[AnswerCache]:
    """Open the cached answers of an output during the block, within `lock_output`.

    Parameters
    ----------
    output : pathlib.Path
        The output, whose ledger is opened or made beside it.
    settings, comparison, thresholds, device
        As for `AnswerCache`.
    log : callable
        Takes a line for the user where the settings are not those of the run before.

    Raises
    ------
    OutputError
        The ledger can't be used, or another process is at work with it.
    """
    with closing(AnswerLedger(ledger_path(output))) as ledger:
        # Nobody else is at work here, so these are what a killed run left. What can't be removed does no harm.
        for partial in _partials(output):
            with suppress(OSError):
                partial.unlink()
        if ledger.replace_fact("settings", settings) not in {None, settings}:
            log(
                "The model, the white level, an option of the runtime or the way to compare is another than before:"
                " every field is done again."
            )
        yield AnswerCache(ledger, settings=settings, comparison=comparison, thresholds=thresholds, device=device)


def _partials(output: Path) -> list[Path]:
    partial = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(output.name)}")  # as atomic_write names them
    return [path for path in output.parent.iterdir() if partial.fullmatch(path.name)]
