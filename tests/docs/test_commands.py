"""Commands and code in the documentation are valid, and the quick ones are run."""

import re
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner

from export.__main__ import main as export
from hpa_sdk.cli.group import main as hpa
from tests.conftest import STARTER
from tests.docs.pages import PAGES, ROOT, commands, scripts, snippets
from tests.small import make_field, make_model
from tests.starter import FIELDS
from training.__main__ import main as training

GROUPS: dict[str, click.Group] = {"hpa": hpa, "training": training, "export": export}
SHORT = {"doctor", "inspect", "predict", "report", "station"}
"""Commands of ``hpa`` that end by themselves and need only a model and fields."""

IN_A_TEST_OF_ITS_OWN = {"docs/micro-manager.md"}
"""Pages whose snippets need a microscope: tests/hpa_sdk/workstation/test_micro_manager_follow.py runs them."""

NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


def resolve(words: list[str]) -> tuple[click.Command, list[str]]:
    """Find the command that words call, and what is left of them."""
    program, *left = words[2:] if words[0] == "python" else words
    command: click.Command = GROUPS[program]
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        name = left.pop(0)
        found = command.get_command(click.Context(command), name)
        assert found is not None, f"{' '.join(words)}: there is no {name!r}"
        command = found
    return command, left


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_its_options_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for words in commands(ROOT / name):
        if words[0] == "make":
            assert words[1] in targets, " ".join(words)
            continue
        command, arguments = resolve(words)
        context = click.Context(command)
        # Raises for an option that there is not, or one without its value.
        given, _, _ = command.make_parser(context).parse_args(list(arguments))
        for parameter in command.params:
            values = given.get(parameter.name or "")
            if isinstance(parameter.type, click.Choice) and isinstance(values, str):
                parameter.type.convert(values, parameter, context)


@pytest.mark.parametrize("name", NAMES)
def test_every_script_is_there_and_has_its_options(name: str) -> None:
    for script, options in scripts(ROOT / name):
        text = script.read_text(encoding="utf-8")
        assert [option for option in options if f'"{option}"' not in text] == [], script


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documentation speaks of."""
    rng = np.random.default_rng(0)
    for name in ("fields", "held-out", "archive"):
        for number in range(3):
            make_field(tmp_path / name, f"{name}-{number}", rng)
    for name in ("resnet.onnx", "resnet.int8.onnx", "vgg.onnx"):
        make_model(tmp_path / name)
    shutil.copytree(FIELDS, tmp_path / "examples" / "fields")
    names = {"Name": ["DAPI", "POI", "MT", "ER"]}
    (tmp_path / "stacks").mkdir()
    for number in range(2):
        planes = rng.integers(0, 4096, (4, 64, 64)).astype(np.uint16)
        file = tmp_path / "stacks" / f"stack-{number}.ome.tif"
        tifffile.imwrite(file, planes, ome=True, photometric="minisblack", metadata={"axes": "CYX", "Channel": names})
    (tmp_path / "station.toml").write_text(
        'model = "resnet.onnx"\nwatch = "stacks"\noutput = "."\n[files]\nwhite = 4095\n'
        '[channels]\nred = ["MT"]\ngreen = ["POI"]\nblue = ["DAPI"]\nyellow = ["ER"]\n',
        encoding="utf-8",
    )
    rows = "".join(f"fields-{number},{number} 25\n" for number in range(3))
    (tmp_path / "train.csv").write_text(f"Id,Target\n{rows}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("desk")
@pytest.mark.parametrize("name", NAMES)
def test_every_snippet_runs(name: str) -> None:
    if name in IN_A_TEST_OF_ITS_OWN:
        return
    page: dict[str, object] = {}
    for snippet in snippets(ROOT / name):
        if '"starter"' in snippet and not STARTER.is_file():
            pytest.skip("hpa_sdk/models/starter.onnx is not in this checkout")
        exec(compile(snippet, name, "exec"), page)  # noqa: S102 - our own documentation


@pytest.mark.parametrize("name", NAMES)
def test_short_commands_run(name: str, desk: Path) -> None:
    models = {"starter"} if STARTER.is_file() else set()
    short = [words for words in commands(ROOT / name) if words[0] == "hpa" and set(words[1:2]) <= SHORT]
    for words in short:
        arguments = [word for word in words[1:] if word != "..."]
        named = [word for word in arguments[1:] if not word.startswith("-")]
        elsewhere = any("://" in word for word in named)
        if elsewhere or not named or not (named[0] in models or (desk / named[0]).exists()):
            continue
        result = CliRunner().invoke(hpa, arguments)
        assert result.exit_code == 0, f"{' '.join(words)}: {result.output}"
