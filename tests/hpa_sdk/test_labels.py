"""The 28 classes and their names."""

import pytest

from hpa_sdk.errors import TableError
from hpa_sdk.labels import Label


def test_there_are_28_labels_in_kaggle_order() -> None:
    assert [int(label) for label in Label] == list(range(28))
    named = {0: "Nucleoplasm", 2: "Nucleoli", 7: "Golgi apparatus", 14: "Microtubules", 16: "Cytokinetic bridge"}
    named |= {21: "Plasma membrane", 23: "Mitochondria", 25: "Cytosol", 27: "Rods & rings"}
    assert {index: str(Label(index)) for index in named} == named


@pytest.mark.parametrize("label", Label)
def test_every_label_is_found_by_its_hpa_name(label: Label) -> None:
    assert Label.from_name(f" {label.hpa_name.upper()} ") is label


def test_names_of_later_schemes_are_known() -> None:
    assert Label.from_name("Centriolar satellite") is Label.MICROTUBULE_ORGANIZING_CENTER
    assert Label.from_name("Rods and rings") is Label.RODS_AND_RINGS


@pytest.mark.parametrize("name", ["Vesicles", "Negative", "", "28"])
def test_a_name_without_one_counterpart_is_refused(name: str) -> None:
    with pytest.raises(TableError, match="Use one of: Nucleoplasm"):
        Label.from_name(name)
