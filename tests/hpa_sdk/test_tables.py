"""Tables are read as spreadsheets and people save them, and a bad row affects no other row."""

import codecs
from pathlib import Path

import pytest

from hpa_sdk import Failure, Predictor, Sample
from hpa_sdk.batch.discovery import find_all
from hpa_sdk.errors import TableError
from hpa_sdk.fields.tables import is_table, read_columns, read_rows

PLAIN = "Id,Target\nf1,0\nfält,1 2\n"
EXPECTED = [("f1", "0"), ("fält", "1 2")]


def write(folder: Path, content: str | bytes) -> Path:
    table = folder / "table.csv"
    table.write_bytes(content.encode() if isinstance(content, str) else content)
    return table


def good(table: Path, *columns: str) -> list[tuple[str, ...]]:
    return [row.values for row in read_rows(table, *columns) if row.problem is None]


def bad(table: Path, *columns: str) -> list[str]:
    return [row.problem.what for row in read_rows(table, *columns) if row.problem is not None]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_every_separator_and_line_end(tmp_path: Path, separator: str, end: str) -> None:
    text = PLAIN.replace(",", separator).replace("\n", end)
    assert good(write(tmp_path, text), "Id", "Target") == EXPECTED


@pytest.mark.parametrize("line", ["sep=;", "SEP=;", '"sep=;"', "sep=;,,", "sep=,"])
def test_a_first_line_that_names_the_separator(tmp_path: Path, line: str) -> None:
    table = write(tmp_path, f"{line}\r\n" + PLAIN.replace(",", ";"))
    assert good(table, "Id", "Target") == EXPECTED
    assert [row.line for row in read_rows(table, "Id")] == [3, 4]


def test_a_named_separator_can_be_any(tmp_path: Path) -> None:
    assert good(write(tmp_path, "sep=^\nId^Target\na,b^0;1\n"), "Id", "Target") == [("a,b", "0;1")]


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("cp1252", b""),
    ],
)
@pytest.mark.parametrize("separator", [",", "\t"])
def test_every_encoding(tmp_path: Path, encoding: str, mark: bytes, separator: str) -> None:
    table = write(tmp_path, mark + PLAIN.replace(",", separator).encode(encoding))
    assert good(table, "Id", "Target") == EXPECTED
    notes = ["Windows-1252" in row.note for row in read_rows(table, "Id")]
    assert notes == [False, encoding == "cp1252"]


def test_lines_of_several_encodings_cost_no_other(tmp_path: Path) -> None:
    table = write(tmp_path, "Id\nzö\n".encode() + b"f\xe4lt\n\x81\nlast\n")
    assert good(table, "Id") == [("zö",), ("fält",), ("last",)]
    assert bad(table, "Id") == ["line 4 is neither UTF-8 nor Windows-1252 text"]


@pytest.mark.parametrize("empty", [",", ",,,", "", " , ", ";;", '"",""', "\t", "\xa0,\ufeff"])
def test_empty_rows_are_no_rows_wherever_they_are(tmp_path: Path, empty: str) -> None:
    table = write(tmp_path, f"{empty}\nId,Target\n{empty}\nf1,0\n{empty}\n{empty}\nfält,1 2\n{empty}\n{empty}\n")
    assert list(read_columns(table, "Id", "Target")) == [(4, EXPECTED[0]), (7, EXPECTED[1])]


@pytest.mark.parametrize("name", ["Id", "ID", "id", " Id ", '"Id"', "\ufeffid", "\xa0ID\u200b"])
def test_a_column_is_found_in_any_capitals(tmp_path: Path, name: str) -> None:
    assert good(write(tmp_path, f"Target,{name}\n0,f1\n"), "Id") == [("f1",)]


def test_of_two_names_the_exact_one_counts(tmp_path: Path) -> None:
    assert good(write(tmp_path, "ID,Id\nx,y\n"), "Id") == [("y",)]
    for header in ("Id,Id", "ID,id"):
        with pytest.raises(TableError, match="2 columns of the table are named 'Id'"):
            list(read_rows(write(tmp_path, f"{header}\nx,y\n"), "Id"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("Image;Target", "its columns are 'Image', 'Target', separated by semicolons"),
        ("Image\tTarget", "separated by tabs"),
        ("f1", "its columns are 'f1'. Its first line should name the column 'Id'"),
        ('"Id,Target"', "Take away the quotes around each whole line"),
        (",".join(map(str, range(90))), "'11', ..., separated by commas"),
    ],
)
def test_a_missing_column_names_those_that_are_there(tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(TableError) as caught:
        list(read_rows(write(tmp_path, f"{header}\na\n"), "Id"))
    assert message in str(caught.value)


def test_labels_of_2021_are_no_targets(tmp_path: Path) -> None:
    table = write(tmp_path, "ID,Label\nf1,0|1\n")
    assert good(table, "Id") == [("f1",)]
    with pytest.raises(TableError, match="Label of the 2021 challenge counts other classes"):
        list(read_rows(table, "Id", "Target"))


def test_quotes_hold_separators_and_line_ends(tmp_path: Path) -> None:
    text = 'Id,Note,Target\n"a,1","two\nlines, and ""quotes""","0 1"\n"b" ,, "2"\n="0007",,\'3\n'
    assert good(write(tmp_path, text), "Id", "Target") == [("a,1", "0 1"), ("b", "2"), ("0007", "'3")]


@pytest.mark.parametrize("row", ['"f2,1', '"f2,1\nf3,2\nf4"x,1', '"' + "x" * 200_000])
def test_a_quote_that_is_not_closed_costs_its_row(tmp_path: Path, row: str) -> None:
    rest = [f"g{at},0" for at in range(300)]
    table = write(tmp_path, "\n".join(["Id,Target", "f1,0", row, *rest]))
    found = [values[0] for values in good(table, "Id")]
    assert found[0] == "f1"
    assert found[-300:] == [f"g{at}" for at in range(300)]
    assert bad(table, "Id")[0].startswith("line 3 ")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (",1", "line 3 has an empty 'Id'"),
        ("f2", "line 3 has an empty 'Target'"),
        ("f\0,1", "line 3 has a zero byte in it"),
        ("f2,Nucleoli,Cytosol", "line 3 has 3 cells, and the header names 2"),
    ],
)
def test_a_row_that_is_unfit_costs_itself_alone(tmp_path: Path, row: str, message: str) -> None:
    table = write(tmp_path, f"Id,Target\nf1,0\n{row}\nf3,1,,\n")
    assert good(table, "Id", "Target") == [("f1", "0"), ("f3", "1")]
    assert bad(table, "Id", "Target") == [message]
    with pytest.raises(TableError, match=message):
        list(read_columns(table, "Id", "Target"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the table is empty"),
        (b"\n,\n", "the table is empty"),
        (b"Id\n", "the table has no row"),
        (b"PK\x03\x04" + bytes(40), "Save the sheet as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(40), "Save the sheet as CSV"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "this is no text table"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(TableError, match=message):
        list(read_rows(write(tmp_path, content), "Id"))


def test_a_table_that_is_not_there_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.csv", tmp_path):
        with pytest.raises(TableError, match=r"the table can't be read.*Check the path"):
            list(read_rows(path, "Id"))


def test_tables_are_known_by_their_extensions(tmp_path: Path) -> None:
    (tmp_path / "Unicode.txt").touch()
    names = {"a.csv": True, "a.TSV": True, "a.xlsx": True, "Unicode.txt": True, "stem.txt": False, "a_red.png": False}
    assert {name: is_table(tmp_path / name) for name in names} == names


def test_a_bad_row_costs_no_other_field_its_answer(model: Path, fields: list[Sample]) -> None:
    folder = fields[0].files[0].parent
    rows = [",", "f\0,1", "field-0,2", f"{'x' * 300}/y,1", "../gone/f,1", '"field-9,1', "field-3,1,2", "field-1,0", ","]
    (folder / "ids.csv").write_text("\n".join(["Id,Target", *rows]), encoding="utf-8")
    answers = Predictor.load(model, device="cpu").predict(folder / "ids.csv", on_error="yield")
    found = [answer.id for answer in answers if not isinstance(answer, Failure)]
    assert found == ["field-0", "field-1"]
    failed = {answer.id: answer.error.what for answer in answers if isinstance(answer, Failure)}
    assert list(failed) == ["ids.csv line 3", f"{'x' * 300}/y", "../gone/f", "ids.csv line 7", "ids.csv line 8"]
    assert failed["ids.csv line 7"] == "line 7 has a quote that is not closed"
    named = [item.id for item in find_all([str(folder / "ids.csv")], recursive=False, root=None)]
    assert named == [answer.id for answer in answers]


def test_ids_that_a_spreadsheet_cut_are_named(model: Path, fields: list[Sample]) -> None:
    for file in fields[0].files:
        file.rename(file.with_name(file.name.replace("field-0", "0007")))
    table = fields[0].files[0].with_name("ids.csv")
    table.write_text('Id\n7\n"=""0007"""\n', encoding="utf-8")
    cut, whole = Predictor.load(model, device="cpu").predict(table, on_error="yield")
    assert isinstance(cut, Failure)
    assert "no file of '7' lies there, but there are some of '0007': a spreadsheet cuts" in cut.error.what
    assert whole.id == "0007"
    assert not isinstance(whole, Failure)


@pytest.mark.parametrize("name", ["ids.tsv", "Unicode.txt", "ids.xls"])
def test_other_extensions_are_tables_too(model: Path, fields: list[Sample], name: str) -> None:
    table = fields[0].files[0].with_name(name)
    table.write_text("ID\tNote\r\nfield-2\tä\r\n\t\r\nfield-2\t\r\n", encoding="utf-16", newline="")
    assert [answer.id for answer in Predictor.load(model, device="cpu").predict(table)] == ["field-2", "field-2"]
    assert len(list(find_all([str(table)], recursive=False, root=None))) == 1
