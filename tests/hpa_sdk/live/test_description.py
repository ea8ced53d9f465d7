"""The server answers every request that the description allows without an internal error."""

from __future__ import annotations

from typing import Any

import pytest

from tests.hpa_sdk.live.serving import Page, field

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
hypothesis = pytest.importorskip("hypothesis")

EXAMPLES = 15


@pytest.mark.slow
def test_no_question_that_fits_the_description_is_a_server_error(
    shared_page: Page, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shared_page.send(*field(tmp_path_factory.mktemp("mine"), "a").files)
    schema = schemathesis.openapi.from_url(f"{shared_page.url}/openapi.json")
    asked = set()
    settings = hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    for found in schema.get_all_operations():
        operation = found.ok()

        def ask(case: Any) -> None:
            case.call_and_validate(checks=[schemathesis.checks.not_a_server_error])

        settings(hypothesis.given(case=operation.as_strategy())(ask))()
        asked.add(operation.label)
    assert len(asked) == 11
    assert shared_page.get("/health")["status"] == "ok"
