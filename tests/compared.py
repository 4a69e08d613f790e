"""A workspace in which trackers differ most on one object, with results written by hand."""

from __future__ import annotations

import pytest
from conftest import scripted_frames

from sam2rl_tracker.vot.workspace import Workspace, create

LENGTH = 12
ABSENT = "m0,0,0,0,0"
BOX = "m10,10,20,20,0,400"


def write_results(
    workspace: Workspace, tracker: str, sequence: str, lines: dict[int, list[str]], banks: str = ""
) -> None:
    folder = workspace.folder / "results" / tracker / "baseline" / sequence
    folder.mkdir(parents=True)
    for k, own in lines.items():
        stem = f"{sequence}_{k}_001" if len(lines) > 1 else f"{sequence}_001"
        (folder / f"{stem}.txt").write_text("\n".join(own) + "\n")
        if banks:
            (folder / f"{stem}_memory_frames.value").write_text(banks)


def truth_lines(workspace: Workspace, sequence: str, k: int) -> list[str]:
    return (workspace.sequences / sequence / f"groundtruth_{k}.txt").read_text().splitlines()


@pytest.fixture(scope="session")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Two sequences: on the second, and there on object 9, SAM2 and Right differ most; Other is between them."""
    workspace = create(tmp_path_factory.mktemp("compare") / "W")
    workspace.add("single", scripted_frames(LENGTH, {1: (0, range(6, 9))}))
    objects = {4: (0, range(0)), 9: (3, range(6, 7))}
    workspace.add("several", scripted_frames(LENGTH, objects, ignored=True, unknown=10))
    recency = "\n".join(" ".join(map(str, sorted({0, *range(max(t - 6, 0), t)}))) for t in range(1, LENGTH))
    for sequence, ids in (("single", (1,)), ("several", (4, 9))):
        right = {k: ["1", *truth_lines(workspace, sequence, k)[1:]] for k in ids}
        late = {k: lines if k != 9 else [*lines[:3], "1", *[ABSENT] * 8] for k, lines in right.items()}
        half = {k: lines if k != 9 else [*lines[:3], "1", BOX, *[ABSENT] * 2, *lines[7:]] for k, lines in right.items()}
        write_results(workspace, "Right", sequence, right)
        write_results(workspace, "SAM2", sequence, late, banks=f"\n{recency}\n")
        write_results(workspace, "Other", sequence, half, banks="nan\n0 1 5 99 -1\n")
    write_results(workspace, "Half", "single", {1: ["1", BOX]})
    return workspace
