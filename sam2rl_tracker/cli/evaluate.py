"""`sam2rl evaluate`: `vot evaluate` in shares, side by side."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sam2rl_tracker.cli.options import Devices, Folder, Jobs, Json, PerDevice, ShardText, console, print_json, say
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.variables import AGENTS_VARIABLE, MODEL_VARIABLE

if TYPE_CHECKING:
    from sam2rl_tracker.vot.shares import Share
    from sam2rl_tracker.vot.workspace import Workspace


def evaluate(
    folder: Folder,
    trackers: Annotated[list[str], typer.Argument(metavar="TRACKER...", help="Names from the workspace's registry.")],
    model: Annotated[
        str | None, typer.Option(envvar=MODEL_VARIABLE, help="Of the trackers that this package registers.")
    ] = None,
    device: Devices = None,
    jobs: Jobs = None,
    per_device: PerDevice = None,
    share: Annotated[int, typer.Option(min=1, help="Sequences that one start of the toolkit evaluates.")] = 4,
    shard: ShardText = None,
    as_json: Json = False,
) -> None:
    """Evaluate trackers by the VOT toolkit, several at a time; the results are those of `vot evaluate`. Resumes."""
    from sam2rl_tracker.runs.devices import local_executor
    from sam2rl_tracker.runs.shards import Shard
    from sam2rl_tracker.vot.shares import evaluate_shares, plan_shares
    from sam2rl_tracker.vot.workspace import checked_workspace

    part = Shard.parse(shard)
    executor = local_executor(jobs, device, per_device)
    workspace = checked_workspace(folder)
    one = device if device and "," not in device else None  # of several, each share is given its own
    shares = part.of(plan_shares(workspace, trackers, share, model, one, os.environ.get(AGENTS_VARIABLE)))
    failures = list[dict[str, Any]]()
    with _Bars(workspace, shares) as bars:
        try:
            for outcome in evaluate_shares(workspace, shares, executor, bars.watch):
                bars.watch([outcome.task])
                if isinstance(outcome.result, Sam2rlError):
                    say(f"FAILED {outcome.task}: {outcome.result}", style="red")
                    failures.append(_failed(outcome.task, outcome.result))
                else:
                    bars.tell(outcome.task)
        except KeyboardInterrupt:
            say("Interrupted: what is finished is kept. Repeat the command to go on.")
            raise
        finished = bars.finished
    for name, (done, total) in finished.items():
        say(f"{name}: {done} of {total} sequences complete" + (f" in shard {shard}" if shard else ""))
    if as_json:
        complete = {name: done for name, (done, _) in finished.items()}
        print_json({"workspace": str(workspace.folder), "complete": complete, "failures": failures})
    if failures:
        raise typer.Exit(1)


def _failed(share: Share, error: Sam2rlError) -> dict[str, Any]:
    return {"tracker": share.tracker, "sequences": list(share.sequences), "error": str(error)}


class _Bars:
    """A progress bar for each tracker, in sequences; lines of a log where there is no terminal.

    Args:
        workspace: That is evaluated.
        shares: Its tasks.
    """

    def __init__(self, workspace: Workspace, shares: Sequence[Share]):
        from sam2rl_tracker.vot.results import result_folders

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._folders: dict[Share, Mapping[str, Sequence[Path]]] = {
            one: result_folders(workspace, one.tracker, one.sequences) for one in shares
        }
        self._done: dict[Share, int] = {}
        self._totals: dict[str, int] = {}
        for one in shares:
            self._totals[one.tracker] = self._totals.get(one.tracker, 0) + len(one.sequences)
        self._bars = {name: self._progress.add_task(escape(name), total=total) for name, total in self._totals.items()}
        self.watch(shares)
