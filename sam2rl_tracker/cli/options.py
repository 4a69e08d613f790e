"""What the commands share: their options, and how they speak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from sam2rl_tracker.runs.variables import COMPILE_VARIABLE, DEVICE_VARIABLE, DTYPE_VARIABLE, MODEL_VARIABLE

if TYPE_CHECKING:
    from sam2rl_tracker.engine import Arithmetic

INTERRUPTED = "Interrupted: what is finished is kept. Repeat the command to go on."
ON_OWN_TRUTH = "on the ground truth that they are scored on"
console = Console(stderr=True)  # for people; stdout is for results
Model = Annotated[
    str, typer.Option(envvar=MODEL_VARIABLE, help="A name, Hugging Face id or folder: see `sam2rl model list`.")
]
Policy = Annotated[str, typer.Option(help="NAME[:key=value,...] or module:Class: see `sam2rl policies`.")]
Device = Annotated[
    str | None,
    typer.Option(envvar=DEVICE_VARIABLE, help="cpu, cuda, cuda:N or mps; by default the best there is."),
]
Dtype = Annotated[
    str,
    typer.Option(envvar=DTYPE_VARIABLE, help="float32, or bfloat16: coarser, faster on GPUs and newer processors."),
]
Compile = Annotated[
    bool, typer.Option("--compile", envvar=COMPILE_VARIABLE, help="Compile the network's steps first: for long runs.")
]
Devices = Annotated[
    str | None,
    typer.Option(
        envvar=DEVICE_VARIABLE,
        help="cpu, cuda:N, mps, several as cuda:0,cuda:1, or cuda for all visible ones; by default the best there is.",
    ),
]
PerDevice = Annotated[int | None, typer.Option(min=1, help="Processes on each device.", show_default="1")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes, spread over the devices.", show_default="1 on each device")
]
ShardOf = Annotated[
    str | None,
    typer.Option("--shard", metavar="K/N", help="Only the Kth of N parts: the others are other machines'."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document alone on stdout.")]
Folder = Annotated[Path, typer.Argument(metavar="WORKSPACE")]
Source = Annotated[Path, typer.Argument(metavar="SRC")]
Objects = Annotated[int, typer.Option(min=1, max=8, help="Targets in each.")]
Preset = Annotated[str, typer.Option(help="How hard the scenes are: easy, default, busy or hard.")]


def choose_arithmetic(dtype: str, compile: bool, device: str | None) -> Arithmetic:
    """The two settings as one. Says so where bfloat16 takes longer than float32."""
    from sam2rl_tracker.engine import Arithmetic, multiplies_bfloat16, resolve_device

    chosen = Arithmetic(dtype, compile)
    first = device and device.partition(",")[0]
    if dtype == "bfloat16" and not multiplies_bfloat16(resolve_device(first or None)):
        say("This processor does not multiply bfloat16 itself: float32 is faster here.", style="yellow")
    return chosen


def say(text: str, style: str | None = None) -> None:
    """A line for people, as it is: paths may hold what rich takes for markup."""
    console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def resumable() -> Iterator[None]:
    """Say, on Ctrl-C, what becomes of work that goes on where it was."""
    try:
        yield
    except KeyboardInterrupt:
        say(INTERRUPTED)
        raise


def print_json(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2))
