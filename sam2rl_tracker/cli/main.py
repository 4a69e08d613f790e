"""The command line: every command and group in one place. A module per group parses, calls and prints."""

from __future__ import annotations

import signal
import sys
from typing import Annotated

import typer

from sam2rl_tracker import __version__
from sam2rl_tracker.cli.agent import agent_app
from sam2rl_tracker.cli.bench import bench_app
from sam2rl_tracker.cli.cluster import jobs
from sam2rl_tracker.cli.evaluate import evaluate
from sam2rl_tracker.cli.experiments import benchmark, demo
from sam2rl_tracker.cli.export import export_app
from sam2rl_tracker.cli.learning import learn
from sam2rl_tracker.cli.model import model_app
from sam2rl_tracker.cli.options import say
from sam2rl_tracker.cli.policies import policies
from sam2rl_tracker.cli.report import compare, report
from sam2rl_tracker.cli.search import search
from sam2rl_tracker.cli.track import track
from sam2rl_tracker.cli.training import train
from sam2rl_tracker.cli.workspace import workspace_app
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.startup import end_quickly

app = typer.Typer(no_args_is_help=True, add_completion=False, help="SAM 2 tracking with pluggable memory policies.")
for command in (demo, track, policies, report, benchmark, compare, train, search, learn, evaluate, jobs):
    app.command()(command)
app.add_typer(workspace_app, name="workspace")
app.add_typer(export_app, name="export")
app.add_typer(model_app, name="model")
app.add_typer(agent_app, name="agent")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Entry point: a user's error is one sentence on stderr and a status other than 0."""
    sys.path.insert(0, "")  # `--policy mine:Class` means mine.py here, as for `python -m`
    end_quickly()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: what is finished is kept
    try:
        app()
    except Sam2rlError as error:
        say(f"error: {error}", style="red")
        sys.exit(error.status)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"sam2rl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass
