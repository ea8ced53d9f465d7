"""Opens the answer cache of an output, for exclusive use by one run."""

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
from hpa_sdk.models.model_card import ModelCard


def ledger_path(output: Path) -> Path:
    """Return the path of an output's ledger, next to the output."""
    return output.with_name(f"{output.name}.ledger")


@contextmanager
def open_answer_cache(
    output: Path,
    settings: str,
    comparison: Comparison,
    *,
    thresholds: npt.NDArray[np.float32],
    card: ModelCard,
    device: str,
    log: Callable[[str], None],
) -> Iterator[AnswerCache]:
    """Open the cached answers of an output during the block, within `lock_output`.

    Parameters
    ----------
    output : pathlib.Path
        The output, whose ledger is opened or created next to it.
    settings, comparison, thresholds, card, device
        As for `AnswerCache`.
    log : callable
        Called with a line for the user if the settings differ from those of the run before.

    Raises
    ------
    OutputError
        The ledger can't be used, or another process is using it.
    """
    with closing(AnswerLedger(ledger_path(output))) as ledger:
        remove_partials(output)
        if ledger.replace_fact("settings", settings) not in {None, settings}:
            log(
                "A model, the views, the white level, a runtime option or the comparison changed:"
                " every field is predicted again."
            )
        yield AnswerCache(
            ledger, settings=settings, comparison=comparison, thresholds=thresholds, card=card, device=device
        )


def remove_partials(output: Path) -> None:
    """Remove what a killed run left of an output, within `lock_output`. Files that can't be removed do no harm."""
    partial = re.compile(rf"\.[0-9a-f]{{8}}\.{re.escape(output.name)}")  # as atomic_write names them
    for path in output.parent.iterdir():
        if partial.fullmatch(path.name):
            with suppress(OSError):
                path.unlink()
