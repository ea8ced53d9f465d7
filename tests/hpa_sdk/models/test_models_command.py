"""The commands of ``hpa models`` show what there is, and make folders to carry to another computer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hpa_sdk.models.model_names import resolve_model
from tests.hpa_sdk.models.conftest import FILE, Lab


def test_list_shows_what_is_here(lab: Lab) -> None:
    before = lab.run("list")
    assert before.exit_code == 0
    assert ["small", "-", "fields", "hpa-2018", "A", "small", "network"] in [
        line.split() for line in before.stdout.splitlines()
    ]
    assert lab.run("get", "small").exit_code == 0
    assert json.loads(lab.run("list", "--json").stdout)["small"]["file"] == str(lab.file)


def test_info_shows_licence_and_checksum(lab: Lab) -> None:
    assert "not here" in lab.run("info", "small").stdout
    lab.get()
    shown = lab.run("info", "small").stdout
    assert "CC0-1.0" in shown
    assert f"{lab.sha256} (first download)" in shown
    facts = json.loads(lab.run("info", "small", "--json").stdout)["small"]
    assert facts["licence"] == "CC0-1.0"
    assert facts["file"] == str(lab.file)


def test_get_shows_the_licence_first_and_prints_the_path(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    done = lab.run("get", "small")
    assert done.stdout == f"{lab.file}\n"
    assert "Licence: CC0-1.0. Cite: nobody." in caplog.text
    assert "CC0-1.0" in (lab.file.parent / "LICENCE.txt").read_text(encoding="utf-8")


def test_get_of_an_unknown_name_is_one_line(lab: Lab) -> None:
    done = lab.run("get", "smal")
    assert done.exit_code == 2
    assert "Did you mean small?" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("fetched_before", [True, False])
def test_a_folder_serves_a_computer_without_network(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fetched_before: bool
) -> None:
    if fetched_before:
        lab.get()
    stick = tmp_path / "stick"
    done = lab.run("get", "small", "--to", stick)
    assert done.exit_code == 0, done.stderr
    assert len(lab.site.requests[FILE]) == 1
    assert lab.file.exists() == fetched_before
    file = stick / "small" / "small.onnx"
    assert file.read_bytes() == lab.content
    # The other computer has neither the lab's catalogue nor a network.
    monkeypatch.delenv("HPA_CATALOGUE")
    lab.site.answers[FILE] = [lambda handler, _: handler.start(500)]
    monkeypatch.setenv("HPA_MODELS", str(stick))
    for model in ("small", str(stick / "small"), str(file)):
        found = resolve_model(model)
        assert found.path == file
        assert found.name == "small"
        assert found.entry is not None
        assert (found.entry.sha256, found.entry.address) == (lab.sha256, lab.site.url + FILE)


def test_verify_finds_a_changed_file(lab: Lab) -> None:
    lab.get()
    assert lab.run("verify", "small").stdout == "small: as fetched\n"
    assert "small: as fetched\n" in lab.run("verify").stdout
    changed = bytearray(lab.content)
    changed[-1] ^= 1
    lab.file.write_bytes(changed)
    done = lab.run("verify", "small")
    assert done.exit_code == 1
    assert "was changed after it was fetched" in done.stderr
    assert lab.run("get", "small").exit_code == 2


def test_remove_keeps_the_checksum_unless_it_is_forgotten(lab: Lab) -> None:
    assert lab.run("remove", "small").exit_code == 2
    lab.get()
    assert lab.run("remove", "small").exit_code == 0
    assert not lab.file.exists()
    assert lab.sha256 in lab.run("info", "small").stdout
    assert lab.run("remove", "--forget", "small").exit_code == 0
    assert not lab.file.parent.exists()


def test_verify_of_a_model_that_is_not_here(lab: Lab) -> None:
    done = lab.run("verify", "small")
    assert done.exit_code == 1
    assert "hpa models get small" in done.stderr
