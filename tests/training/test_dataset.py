"""Label tables are read as they are, and a bad row is named."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from hpa_sdk.errors import TableError
from hpa_sdk.fields.finding import find_samples
from hpa_sdk.fields.samples import Sample
from hpa_sdk.labels import HPA_2018, HPA_2021, Label
from tests.small import make_field
from training.data import dataset as dataset_module
from training.data.dataset import read_dataset, read_datasets, read_label_table
from training.data.split import study_split


def make_set(folder: Path, *, below: str = "") -> Path:
    rng = np.random.default_rng(0)
    for sample_id in ("b", "a", "c"):
        make_field(folder / below, sample_id, rng)
    (folder / "train.csv").write_text("Id,Target\nb,16 0\na,7 1 2 0\nc,27\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("below", ["", "train"])
def test_a_data_set_is_its_table_with_the_planes(tmp_path: Path, below: str) -> None:
    dataset = read_dataset(make_set(tmp_path / "lab", below=below))
    assert dataset.name == "lab"
    assert [sample.id for sample in dataset.samples] == ["b", "a", "c"]
    assert [np.flatnonzero(target).tolist() for target in dataset.targets] == [[0, 16], [0, 1, 2, 7], [27]]
    assert all(file.is_file() for sample in dataset.samples for file in sample.files)
    assert read_dataset(tmp_path / "lab" / "train.csv").samples == dataset.samples


def test_the_fingerprint_distinguishes_data(tmp_path: Path) -> None:
    folder = make_set(tmp_path)
    before = read_dataset(folder).fingerprint
    assert read_dataset(folder).fingerprint == before
    make_field(folder, "a", np.random.default_rng(9), side=65)
    changed_planes = read_dataset(folder).fingerprint
    (folder / "train.csv").write_text("Id,Target\nb,16 0\na,7 1 2\nc,27\n", encoding="utf-8")
    assert len({before, changed_planes, read_dataset(folder).fingerprint}) == 3


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,28", "line 2 has the label '28'"),
        (f"a,{'9' * 5000}", "line 2 has the label '999"),
        ("a,0\nb,-1", "line 3 has the label '-1'"),
        ("a,0 x", "label 'x'"),
        ("a,0\na,1", "line 3 repeats the id a"),
        ("a,", "line 2 has an empty 'Target'"),
        ("", "no row"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, rows: str, message: str) -> None:
    table = tmp_path / "train.csv"
    table.write_text(f"Id,Target\n{rows}\n" if rows else "Id,Target\n", encoding="utf-8")
    with pytest.raises(TableError, match=message):
        read_label_table(table)


def test_a_field_without_its_files_is_named(tmp_path: Path) -> None:
    folder = make_set(tmp_path)
    (folder / "a_blue.png").unlink()
    with pytest.raises(TableError, match=r"the field a has no a_blue\.png"):
        read_dataset(folder)


def test_several_sources_are_one_data_set(tmp_path: Path) -> None:
    first, second = make_set(tmp_path / "lab"), tmp_path / "andra"
    make_field(second, "d", np.random.default_rng(1))
    (second / "train.csv").write_text("Id,Target\nd,4\n", encoding="utf-8")
    joined = read_datasets([first, second])
    parts = [read_dataset(first), read_dataset(second)]
    assert joined.name == "lab + andra"
    assert joined.samples == parts[0].samples + parts[1].samples
    np.testing.assert_array_equal(joined.targets, np.concatenate([part.targets for part in parts]))
    fingerprints = {part.fingerprint for part in (*parts, joined, read_datasets([second, first]))}
    assert len(fingerprints) == 4
    assert read_datasets([first]).fingerprint == parts[0].fingerprint


def test_a_field_of_two_sources_is_named(tmp_path: Path) -> None:
    sources = [make_set(tmp_path / name) for name in ("one", "two")]
    with pytest.raises(TableError, match=r"the field b is in .*one too") as caught:
        read_datasets(sources)
    assert caught.value.where == str(sources[1])


def test_the_split_is_scikit_learn_s_on_the_kaggle_table(real_data: Path) -> None:
    ids, targets = read_label_table(real_data / "kaggle" / "train.csv")
    assert len(ids) == 31_072
    assert targets.sum(axis=0).astype(int)[[0, 15, 25, 27]].tolist() == [12_885, 21, 8228, 11]
    found = [[ids[row] for row in part] for part in study_split(len(ids))]
    # The study hands ids and targets to scikit-learn, as text.
    texts = [" ".join(map(str, np.flatnonzero(target))) for target in targets]
    expected = train_test_split(list(ids), texts, random_state=101, test_size=0.2, shuffle=True)[:2]
    assert found == expected
    assert len(Label) == targets.shape[1]


@pytest.mark.parametrize(("table", "name"), [("train.csv", "lab"), ("val.csv", "lab/val.csv")])
def test_a_data_set_is_named_after_its_table(tmp_path: Path, table: str, name: str) -> None:
    folder = make_set(tmp_path / "lab")
    (folder / "train.csv").rename(folder / table)
    dataset = read_dataset(folder / table)
    assert (dataset.name, dataset.tables) == (name, (folder / table,))


def test_a_table_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make_set(tmp_path / "lab")

    def sort_rows_first(table: Path) -> Iterator[Sample]:
        table.write_text("Id,Target\na,7 1 2 0\nb,16 0\nc,27\n", encoding="utf-8")
        return find_samples(table)

    monkeypatch.setattr(dataset_module, "find_samples", sort_rows_first)
    with pytest.raises(TableError, match="changed while it was read"):
        read_dataset(folder)


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("train.csv", "ID;TARGET\r\nb;16 0\r\n;\r\na;7 1 2 0\r\nc;27\r\n;\r\n", "utf-8-sig"),
        ("train.tsv", "id\ttarget\nb\t16 0\na\t7 1 2 0\nc\t27\n", "utf-16"),
        ("Unicode.txt", "Id\tTarget\r\nb\t16 0\r\na\t7 1 2 0\r\nc\t27\r\n", "utf-16"),
    ],
)
def test_a_table_of_a_spreadsheet_is_the_same_set(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    expected = read_dataset(make_set(tmp_path))
    (tmp_path / name).write_text(text, encoding=encoding, newline="")
    found = read_dataset(tmp_path / name)
    assert found.fingerprint == expected.fingerprint
    assert found.samples == expected.samples


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Id,Target\nb,Nucleoli,Cytosol\n", "line 2 has 3 cells, and the header names 2"),
        ('Id,Target\nb,"16 0\na,1\n', "line 2 has a quote that is not closed"),
        ("ID,Label\nb,0|1\n", "Label of the 2021 challenge counts other classes"),
    ],
)
def test_a_row_that_would_teach_wrong_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    table = make_set(tmp_path) / "train.csv"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(TableError, match=message):
        read_dataset(tmp_path)


def test_labels_of_another_scheme_are_refused(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "lab")
    (folder / "train.csv").write_text("Id,Target\nb,13\na,7 1\nc,17\n", encoding="utf-8")  # 13: Plasma membrane of 2021
    scheme = folder / "scheme.json"
    scheme.write_text(json.dumps({"name": HPA_2021.name, "names": HPA_2021.names}), encoding="utf-8")
    with pytest.raises(TableError, match="labels of hpa-2021, not of hpa-2018"):
        read_dataset(folder)
    with pytest.raises(TableError, match="labels of hpa-2021, not of hpa-2018"):
        read_dataset(folder / "train.csv")
    scheme.write_text(json.dumps({"name": "lab-0", "names": []}), encoding="utf-8")
    with pytest.raises(TableError, match="the label scheme can't be read"):
        read_dataset(folder)
    scheme.write_text("{", encoding="utf-8")
    with pytest.raises(TableError, match="the label scheme can't be read"):
        read_dataset(folder)
    # The numbers of a scheme that begins with the same classes mean the same.
    scheme.write_text(json.dumps({"name": "lab-29", "names": [*HPA_2018.names, "Own"]}), encoding="utf-8")
    assert [np.flatnonzero(target).tolist() for target in read_dataset(folder).targets] == [[13], [1, 7], [17]]
