"""`sam2rl learn`: an agent for videos that nobody trained on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sam2rl_tracker.cli.options import (
    Compile,
    Devices,
    Dtype,
    Jobs,
    Json,
    Model,
    PerDevice,
    choose_arithmetic,
    console,
    print_json,
    say,
)

if TYPE_CHECKING:
    from sam2rl_tracker.learning.ablation import Compared

_SOURCES = "Workspaces with ground truth, or generated[:PRESET] for scenes without end."


def learn(
    train: Annotated[list[str], typer.Argument(metavar="TRAIN...", help=_SOURCES)],
    validate: Annotated[str, typer.Option(help="One of these, of other videos: the best stage is chosen by it, once.")],
    out: Annotated[Path, typer.Option(help="The agent's file; the run's folder lies beside it.")],
    model: Model = "nano",
    device: Devices = None,
    dtype: Dtype = "float32",
    compile: Compile = False,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="KEY=VALUE, any setting of docs/learn.md; repeat it.")
    ] = None,
    jobs: Jobs = None,
    per_device: PerDevice = None,
    ablate: Annotated[
        bool,
        typer.Option(
            "--ablate", help="Also tell what each part of the control and of the observation gives. It chooses nothing."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Learn an agent that controls tracking on any video, for --policy learned:agent=FILE. Resumes by itself."""
    from sam2rl_tracker.learning.learn import learn as learn_agent
    from sam2rl_tracker.learning.settings import parse_learn_settings
    from sam2rl_tracker.runs.devices import list_devices, local_executor

    chosen = parse_learn_settings(settings or [])
    arithmetic = choose_arithmetic(dtype, compile, device)
    executor = local_executor(jobs, device, per_device)
    first = list_devices(device)[0] if device else None
    with console.status("Learning") as status:

        def tell(text: str) -> None:
            if console.is_terminal:
                status.update(text)
            else:
                say(text)

        result = learn_agent(train, validate, out, model, first, chosen, executor, tell, arithmetic, ablate)
    for stage, quality in result.validation.items():
        say(f"{stage}: quality {quality:.4f} on the validation's videos{' <- chosen' * (stage == result.chosen)}")
    if not result.sees_absence:
        say("No frame without the object was among them: presence could not be learned, and SAM 2's is taken.")
    if result.ablation:
        console.print(_ablation(result.ablation))
    say(f"{result.agent}: try it with --policy learned:agent={result.agent}")
    if as_json:
        print_json(result.as_json())


def _ablation(rows: Sequence[Compared]) -> Table:
    table = Table("", "Quality", "Difference", "95 % interval", title="What each part gives; nothing is chosen by it")
    for row in rows:
        cells = ["-", "-"]
        if not row.is_baseline:
            interval = "too few videos" if row.interval is None else "{:+.3f} to {:+.3f}".format(*row.interval)
            cells = [f"{row.difference:+.3f}", interval]
        table.add_row(row.variant.name, f"{row.quality:.3f}", *cells)
    return table
