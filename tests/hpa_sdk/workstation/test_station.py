"""A station file is read whole, and what is wrong in it is named by its key."""

from pathlib import Path

import pytest

from hpa_sdk.errors import SettingError
from hpa_sdk.workstation.station import Station, read_station, write_template

PLACES = 'model = "m.onnx"\nwatch = "in"\noutput = "out"\n'


def read(folder: Path, text: str) -> object:
    path = folder / "station.toml"
    path.write_text(PLACES + text, encoding="utf-8")
    return read_station(path)


def test_the_template_is_a_station_file_with_relative_paths(tmp_path: Path) -> None:
    path = tmp_path / "mikroskop ö.toml"
    write_template(path)
    station = read_station(path)
    assert (station.model, station.watch) == (tmp_path / "model.onnx", tmp_path / "exports")
    assert station.trained is None, "the model's card states it"
    shown = path.read_text(encoding="utf-8").replace("# [trained]\n# pixel_size", "[trained]\npixel_size")
    path.write_text(shown.replace("# side = ", "side = "), encoding="utf-8")
    trained = read_station(path).trained
    assert trained is not None
    assert trained.pixel_size * trained.side == pytest.approx(163.84)


def test_further_models_are_paths_or_names(tmp_path: Path) -> None:
    station = read(tmp_path, "others = ['second.onnx', 'starter', '../third.onnx']\nviews = 4\n")
    assert isinstance(station, Station)
    assert station.others == (tmp_path / "second.onnx", Path("starter"), tmp_path / ".." / "third.onnx")
    assert station.models == (tmp_path / "m.onnx", *station.others)
    assert station.views == 4
    alone = read(tmp_path, "")
    assert isinstance(alone, Station)
    assert (alone.others, alone.views) == ((), 1)


def test_the_template_never_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(SettingError, match="already"):
        write_template(path)
    assert path.read_text(encoding="utf-8") == "mine"


def test_absolute_paths_stay_and_four_white_levels_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(
        f"model = '{tmp_path / 'x.onnx'}'\nwatch = 'in'\noutput = 'out'\n[files]\nwhite = [1, 2.5, 3, 4]\n",
        encoding="utf-8",
    )
    station = read_station(path)
    assert station.model == tmp_path / "x.onnx"
    assert station.files.white == (1, 2.5, 3, 4)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("colour = 1", "unknown field `colour`"),
        ("[files]\nwhit = 1", r"unknown field `whit` - at `\$.files`"),
        ("[files]\nwhite = 0", r"\$.files.white"),
        ("[files]\nwhite = [1, 2, 3]", r"\$.files.white"),
        ("[files]\nwhite = [1, 2, 3, -4]", r"\$.files.white\[3\]"),
        ("[files]\nwhite = nan", r"\$.files.white"),
        ("[files]\nwhite = 'bright'", r"\$.files.white"),
        ("[files]\nz = -1", r"\$.files.z"),
        ("[files]\nz = 'mean'", r"\$.files.z"),
        ("[files]\npixel_size = '0.1 um'", r"\$.files.pixel_size"),
        ("[files]\npattern = '(?P<field>.+'", r"no regular expression.*\$.files.pattern"),
        ("[files]\npattern = '(?P<field>.+)_(.+)'", r"no groups.*\$.files.pattern"),
        ("[channels]\nred = 'DAPI'", r"\$.channels.red"),
        ("[channels]\nred = ['']", r"\$.channels.red\[0\]"),
        ("[channels]\nred = ['dapi']\nblue = ['DAPI ']", r"'dapi' stands for red and for blue.*\$.channels.blue"),
        ("[without]\nyellow = 'yellow'", r"\$.without.yellow"),
        ("[trained]\npixel_size = 0.32", r"`side` - at `\$.trained`"),
        ("[arrival]\nlooks = 0", r"\$.arrival.looks"),
        ("threshold = 2", r"\$.threshold"),
        ("views = 3", r"views is 3, and can be 1, 4 or 8 - at `\$.views`"),
        ("others = 'b.onnx'", r"\$.others"),
        ("others = [1]", r"\$.others\[0\]"),
        ("others = ['b.onnx']\n[cells]", r"cells are answered by one model: leave out `others`.*\$.others"),
        ("gpu_memory = 0", r"\$.gpu_memory"),
        ("device\nlooks = 1", "line 4"),
    ],
)
def test_what_is_wrong_is_named_by_its_key(tmp_path: Path, text: str, key: str) -> None:
    with pytest.raises(SettingError, match=key) as caught:
        read(tmp_path, text)
    assert caught.value.where == str(tmp_path / "station.toml")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"model = 3\nwatch = ''\noutput = ''"])
def test_what_is_no_station_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(content)
    with pytest.raises(SettingError, match=r"station\.toml"):
        read_station(path)
    with pytest.raises(SettingError, match="hpa station init"):
        read_station(tmp_path / "gone.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (r'watch = "D:\exports"', r"Unescaped .* line 1.*single quotes \('D:\\exports'\), or paths with slashes"),
        (r'watch = "D:\users\me"', "Invalid hex value.*single quotes"),
        (r'watch = "D:\new\temp"', r"control character - at `\$.watch`.*single quotes"),
        (r'watch = "\\nas\beta"', r"control character - at `\$.watch`.*single quotes"),
        (r'watch = "D:\data\"', "single quotes"),
        (r'files.pattern = "(?P<field>.+)_\d.tif"', "single quotes"),
        (r'channels.red = ["a\tb"]', r"at `\$.channels.red\[0\]`.*single quotes"),
        ('watch = "C:/my "best" folder"', "A quote inside a value ends it: put the other kind"),
        (r"watch = 'D:\O'Brien'", "A quote inside a value ends it: put the other kind"),
        (r"watch = D:\exports", "Put words and paths in single quotes"),
        ("watch = “D:/exports”", "Use straight quotes"),
        ("watch = 'D:/exports", "Close the quotes"),
    ],
)
def test_what_goes_wrong_with_paths_has_its_advice(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "station.toml"
    path.write_text(f"{line}\nmodel = 'm.onnx'\noutput = 'out'\n", encoding="utf-8")
    with pytest.raises(SettingError, match=message):
        read_station(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_it_is_read_as_editors_save_it(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes("model = 'D:\\ö.onnx'\nwatch\t=\t'in'\noutput = 'out'\n".replace("\n", end).encode(encoding))
    station = read_station(path)
    assert station.model.name.endswith("ö.onnx")
    assert station.watch == tmp_path / "in"


def test_another_encoding_is_named_as_the_trouble(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes("model = 'm.onnx'\nwatch = 'Bilder ö'\n".encode("cp1252"))
    with pytest.raises(SettingError, match=r"no UTF-8 text \(line 2\)\. Save it with the encoding UTF-8"):
        read_station(path)


def test_what_was_typed_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(
        "model = 'm'\nwatch = 'a\tb'\noutput = 'o'\n[files]\npattern = \"(?x)(?P<field>.+)_\\n(?P<channel>.+)\"\n",
        encoding="utf-8",
    )
    assert read_station(path).watch == tmp_path / "a\tb"
