"""Reviews without end in a process of its own, and says each review that is stored, until it is killed."""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path

from hpa_sdk.results.result_store import ResultStore
from hpa_sdk.review.log import ReviewLog
from tests.hpa_sdk.review.made_reviews import result_of, review_of

if __name__ == "__main__":
    with ResultStore(Path(sys.argv[1])) as opened:
        log = ReviewLog(opened.ledger)
        for number in count():
            review = review_of(result_of(f"field-{number}"), id=f"{sys.argv[2]}-{number:08}", by=sys.argv[2])
            log.add(review)
            print(review.id, flush=True)  # noqa: T201 - what the test reads
