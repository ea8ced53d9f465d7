"""Fills the tables and the plot of docs/performance.md with the figures of the benchmarks.

    python -m benchmarks.performance_page docs/performance.md docs/performance

The text between two marks ``<!-- NAME -->`` and ``<!-- /NAME -->`` comes from NAME.json; without this file, the page
says that it was not measured.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from hpa_sdk.files.atomic_write import atomic_write

NETWORKS = {"inception_resnet_v2": "Inception-ResNet-V2", "vgg16": "VGG-16"}
RUNTIMES = {"cpu": "onnxruntime", "openvino": "OpenVINO"}
FILES = {"fp32": "fp32", "winograd": "fp32, Winograd", "bf16": "bf16", "int8": "int8"}
COLOURS = {"fp32": "#9db4c0", "winograd": "#b7c9a8", "bf16": "#7d909a", "int8": "#5c6b73"}
_NOT_MEASURED = "Not measured yet."
_MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)


def main() -> None:
    """Fill the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("figures", type=Path, help="folder of what the benchmarks wrote")
    options = parser.parse_args()
    figures = {path.stem: json.loads(path.read_bytes()) for path in sorted(options.figures.glob("*.json"))}
    page = options.page.read_text(encoding="utf-8")
    filled = _MARKED.sub(lambda found: found[1] + _part(found[2], figures) + found[3], page)
    with atomic_write(options.page) as partial:
        partial.write_text(filled, encoding="utf-8", newline="\n")
    networks = {name: figures[name] for name in NETWORKS if name in figures}
    if networks:
        plot(networks, options.figures / "end_to_end.svg")


def _part(name: str, figures: dict[str, Any]) -> str:
    if name not in figures:
        return f"{_NOT_MEASURED}\n"
    lines = [*TABLES[name](figures[name])]
    machine = figures[name]["machine"]
    # Older figures do not have the way in which int8 is summed.
    int8 = f", int8 {machine['int8']}" if "int8" in machine else ""
    described = f"{machine['processor']}{int8}, {machine['memory_gib']} GiB, {machine['platform']}."
    return "\n".join([*lines, "", described, ""])


def _end_to_end(figures: dict[str, Any]) -> Iterator[str]:
    keras = figures["fields_a_second"]["keras"]
    yield "| file and runtime | fields/s | times Keras | of the ceiling | label sets as Keras | as fp32 |"
    yield "| --- | --- | --- | --- | --- | --- |"
    yield f"| the study's loop, Keras | {_spread(keras)} | 1 | | | |"
    for name, ratio in figures["times_keras"].items():
        precision, device = name.split()
        as_fp32 = figures["same_label_sets_as_fp32"].get(name)
        fields_a_second = _spread(figures["fields_a_second"][name])
        yield (
            f"| {FILES[precision]}, {RUNTIMES[device]} | {fields_a_second} | **{_spread(ratio)}**"
            f" | {_share(figures['share_of_ceiling'][name])} | {figures['same_label_sets_as_keras'][name]:.1%}"
            f" | {'' if as_fp32 is None else f'{as_fp32:.1%}'} |"
        )
    yield ""
    yield f"{figures['fields']} fields; median of the turns (lowest to highest)."


def _sessions(figures: dict[str, Any]) -> Iterator[str]:
    yield "| file | session | fields/s | time over OpenVINO's own |"
    yield "| --- | --- | --- | --- |"
    for model, found in figures["models"].items():
        over = found["time_over_openvinos_own"] | found["time_over_openvinos_own_one"]
        for name, spread in found["fields_a_second"].items():
            yield f"| {model} | {name} | {_spread(spread)} | {_spread(over[name]) if name in over else '1'} |"
    yield ""
    peak = figures["peak_int8_operations_a_second"] / 1e12
    for model, found in figures["models"].items():
        ((name, share),) = found["share_of_peak"].items()
        giga = found["operations_a_field"] / 1e9
        yield f"{model}: {giga:.1f} G operations a field; {name} reaches {share:.0%} of the {peak:.2f} T/s int8 peak."


def _int8_overflow(figures: dict[str, Any]) -> Iterator[str]:
    yield "| model | weights | session | CPU time over fp32 | as written, from fp32 | session, from as written |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for model, found in figures["models"].items():
        for plan, by_session in found.items():
            for session, share in by_session["cpu_share"].items():
                summing = by_session["overflow_logits"][session]
                cells = (model, plan, session, _spread(share), f"{by_session['rounding_logits']:.4f}", f"{summing:.4f}")
                yield f"| {' | '.join(cells)} |"
    yield ""
    yield f"{figures['fields']} fields; differences are the root of the mean square, in logits."


def _decoders(figures: dict[str, Any]) -> Iterator[str]:
    yield "| planes | decoder | ms a plane | over the SDK's |"
    yield "| --- | --- | --- | --- |"
    for form, found in figures["milliseconds_a_plane"].items():
        for name, spread in found["times"].items():
            over = found["over_the_sdk"].get(name)
            yield f"| {form} | {name} | {_spread(spread)} | {'1' if over is None else _spread(over)} |"


def _jpeg_scaled(figures: dict[str, Any]) -> Iterator[str]:
    yield "| decoded | ms a plane | over the whole | same label sets | probabilities differ by, at most |"
    yield "| --- | --- | --- | --- | --- |"
    for name, spread in figures["milliseconds_a_plane"].items():
        if name in figures["of_whole"]:
            found = figures["against_whole"][name]
            cells = (
                f"{_spread(figures['of_whole'][name])} | {found['same_label_sets']:.1%} | {found['max_difference']:.2f}"
            )
        else:
            cells = "1 | | "
        yield f"| {name} | {_spread(spread)} | {cells} |"
    yield ""
    yield f"{figures['fields']} fields of 2048 x 2048."


def _start_up(figures: dict[str, Any]) -> Iterator[str]:
    yield "| model | raw session, s | SDK, s | ratio |"
    yield "| --- | --- | --- | --- |"
    for model, found in figures["models"].items():
        cells = (found["seconds"]["raw"], found["seconds"]["sdk"], found["over_raw"]["sdk"])
        yield f"| {model} | {' | '.join(map(_spread, cells))} |"
    yield ""
    yield f"`import hpa_sdk`: {_spread(figures['import_seconds']['import hpa_sdk'], 3)} s."


def _memory(figures: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{figures['fields']:,} fields on {figures['device']} with {figures['model']}: {figures['median_mib']:.0f} MiB,"
        f" from {figures['lowest']:+.1%} to {figures['highest']:+.1%} of that after the first 500."
    )


def _gpu(figures: dict[str, Any]) -> Iterator[str]:
    yield f"{figures['card']}, onnxruntime {figures['onnxruntime']}."
    yield ""
    yield "| file | provider | batch | fields/s | of the fp16 peak | label sets as on the CPU |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for found in figures["sessions"]:
        head = f"| {found['file']} | {found['way']} | {found['batch_size']} |"
        if "error" in found:
            yield f"{head} {found['error']} | | |"
        else:
            share, same = found["share_of_fp16_peak"], found["same_label_sets"]
            yield f"{head} {_spread(found['fields_a_second'])} | {share:.1%} | {same:.1%} |"
    if "cold_start_seconds" not in figures:  # the last figure: the run did not finish
        return
    files, one = figures["from_files"], figures["single_stream_ms"]
    yield ""
    yield (
        f"From files: {_spread(files['offline'])} fields/s, {_share(files['share'])} of the ceiling, bound by"
        f" {files['binding']}. One field: p50 {one['p50']:.1f}, p90 {one['p90']:.1f}, p99 {one['p99']:.1f} ms."
        f" Cold start: {_spread(figures['cold_start_seconds'])} s."
    )


TABLES: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "inception_resnet_v2": _end_to_end,
    "vgg16": _end_to_end,
    "sessions": _sessions,
    "int8_overflow": _int8_overflow,
    "decoders": _decoders,
    "jpeg_scaled": _jpeg_scaled,
    "start_up": _start_up,
    "memory": _memory,
    "gpu": _gpu,
}


def plot(networks: dict[str, Any], path: Path) -> None:
    """Draw how many times the rate of Keras each file and runtime reaches."""
    plt.rcParams["svg.hashsalt"] = "hpa-sdk"  # the same figures give the same file
    bars = [len(figures["times_keras"]) for figures in networks.values()]
    figure, panes = plt.subplots(
        1, len(networks), figsize=(1.2 * sum(bars), 3), sharey=True, squeeze=False, width_ratios=bars
    )
    for pane, (name, figures) in zip(panes[0], networks.items(), strict=True):
        ratios = figures["times_keras"]
        middles = [ratio["median"] for ratio in ratios.values()]
        reach = [
            [middle - ratio["low"] for middle, ratio in zip(middles, ratios.values(), strict=True)],
            [ratio["high"] - middle for middle, ratio in zip(middles, ratios.values(), strict=True)],
        ]
        names = [f"{FILES[file]}, {RUNTIMES[device]}".replace(", ", "\n") for file, device in map(str.split, ratios)]
        pane.bar(names, middles, yerr=reach, capsize=3, color=[COLOURS[key.split()[0]] for key in ratios])
        pane.axhline(1, color="black", linewidth=0.8)
        pane.set_title(NETWORKS[name])
    panes[0][0].set_ylabel("times the study's loop with Keras")
    figure.tight_layout()
    with atomic_write(path) as partial:
        figure.savefig(partial, metadata={"Date": None})


def _spread(spread: dict[str, float], digits: int = 2) -> str:
    return f"{spread['median']:.{digits}f} ({spread['low']:.{digits}f} to {spread['high']:.{digits}f})"


def _share(spread: dict[str, float]) -> str:
    return f"{spread['median']:.0%} ({spread['low']:.0%} to {spread['high']:.0%})"


if __name__ == "__main__":
    main()
