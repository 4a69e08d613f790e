"""Results of a tracker as the toolkit would have written them, in its text form."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sam2rl_tracker.vot.workspace import Workspace


def write_results(
    workspace: Workspace, tracker: str, sequence: str, lines: Mapping[str, Sequence[str]], experiment: str = "baseline"
) -> Path:
    """Write {object's name: a region per frame} of a sequence; "1" stands where the object is given."""
    folder = workspace.folder / "results" / tracker / experiment / sequence
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in lines.items():
        stem = f"{sequence}_001" if len(lines) == 1 else f"{sequence}_{name}_001"
        (folder / f"{stem}.txt").write_text("\n".join(own) + "\n")
    return folder
