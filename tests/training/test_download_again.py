"""A download into the folder of another never drops the fields of its table without a warning."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpa_sdk.errors import OutputError
from hpa_sdk.labels import Label
from tests.training.plane_server import Site
from tests.training.test_download_hpa import LABELS, ONE, download

OTHER_LABELS = ONE | {"1_a_1": (Label.CYTOSOL,)}
ANOTHER = {"2_b_2": LABELS["2_b_2"]}


def test_a_download_that_got_nothing_resumes(site: Site, tmp_path: Path) -> None:
    download(site, tmp_path / "out", ONE)
    (tmp_path / "out" / "train.csv").write_text("Id,Target\n", encoding="utf-8")
    assert download(site, tmp_path / "out", ANOTHER).complete == 1


def test_more_fields_are_added(site: Site, tmp_path: Path) -> None:
    download(site, tmp_path / "out", ONE)
    assert download(site, tmp_path / "out", LABELS).complete == 2


@pytest.mark.parametrize(("labels", "reason"), [(ANOTHER, "does not list"), (OTHER_LABELS, "other labels")])
def test_another_table_is_refused(
    site: Site, tmp_path: Path, labels: dict[str, tuple[Label, ...]], reason: str
) -> None:
    download(site, tmp_path / "out", ONE)
    before = (tmp_path / "out" / "train.csv").read_bytes()
    with pytest.raises(OutputError, match=reason) as caught:
        download(site, tmp_path / "out", labels)
    assert "1_a_1" in str(caught.value)
    assert (tmp_path / "out" / "train.csv").read_bytes() == before
