"""The shares of collages are read as their table means them."""

from pathlib import Path

from benchmarks.cells.mixes import read_shares


def test_a_collage_of_one_label_has_all_of_it(tmp_path: Path) -> None:
    rows = ["Id,first,second,share_first,share_second", "one,25,,1,0", "other,0,,0,1", "mixed,25,0,0.75,0.25"]
    (tmp_path / "mix.csv").write_text("\n".join(rows), encoding="utf-8")
    assert read_shares(tmp_path) == {"one": {25: 1.0}, "other": {0: 1.0}, "mixed": {25: 0.75, 0: 0.25}}
