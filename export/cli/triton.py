"""``python -m export triton``: adds one model file to a Triton model repository."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from export.triton.config import Serving
from export.triton.repository import export_triton
from hpa_sdk.cli.parameters import ModelPath

_USUAL = Serving()


@click.command()
@click.argument("model", type=ModelPath())
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Model repository to add it to.")
@click.option("--name", help="Name on the server. Default: the model's own.")
@click.option("--max-batch", default=_USUAL.max_batch, show_default=True, help="Most fields a run.")
@click.option("--queue-delay", default=_USUAL.queue_delay, show_default=True, help="Microseconds to wait for others.")
@click.option("--instances", default=_USUAL.instances, show_default=True, help="Parallel copies on each device.")
@click.option("--gpu/--cpu", default=True, show_default=True, help="Where the server runs it.")
@click.option("--tensorrt", type=click.Choice(["fp32", "fp16"]), help="Run it with TensorRT, in this precision.")
@click.option("--engine-cache", help="Folder on the server that keeps what TensorRT builds.")
def triton(
    model: Path,
    output: Path,
    name: str | None,
    max_batch: int,
    queue_delay: int,
    instances: int,
    gpu: bool,
    tensorrt: Literal["fp32", "fp16"] | None,
    engine_cache: str | None,
) -> None:
    """Add MODEL to a model repository of a Triton server, with its configuration and the names of its classes."""
    serving = Serving(
        max_batch=max_batch,
        queue_delay=queue_delay,
        instances=instances,
        device="gpu" if gpu else "cpu",
        tensorrt=tensorrt,
        engine_cache=engine_cache,
    )
    click.echo(f"{export_triton(model, output, serving, name=name)}: start the server on {output}", err=True)
