"""The pages for developers name files that exist, and names that these files define."""

import re

import pytest

from tests.docs.pages import ROOT

PAGES = ("CONTRIBUTING.md", "docs/architecture.md")
_PATH = re.compile(r"`([\w.]+(?:/[\w.]+)+/?)`")
_NAMED = re.compile(r"((?:`[\w.]+`(?:, | and )?)+) in `([\w./]+)`")


@pytest.mark.parametrize("page", PAGES)
def test_every_path_on_the_page_exists(page: str) -> None:
    paths = {path for path in _PATH.findall((ROOT / page).read_text(encoding="utf-8")) if "NAME" not in path}
    assert len(paths) >= 5
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_name_of_the_task_map_is_in_its_file() -> None:
    pairs = _NAMED.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert len(pairs) >= 10
    for names, path in pairs:
        text = (ROOT / path).read_text(encoding="utf-8")
        for name in re.findall(r"`([\w.]+)`", names):
            assert re.search(rf"\b{name.rpartition('.')[2]}\b", text), f"{path} has no {name}"
