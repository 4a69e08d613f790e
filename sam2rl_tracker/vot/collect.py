"""What there is to report of a workspace: the toolkit's measures of complete results, and what failed."""

from __future__ import annotations

from dataclasses import dataclass, field

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.boxes import BoxMeasures
from sam2rl_tracker.evaluation.davis import MaskMeasures
from sam2rl_tracker.evaluation.fallbacks import AgentsUsed, Fallbacks, beyond_memory
from sam2rl_tracker.evaluation.methods import REFERENCE
from sam2rl_tracker.evaluation.scoring import NotScored
from sam2rl_tracker.media.files import StrPath
from sam2rl_tracker.vot.analysis import Analysis, analyse
from sam2rl_tracker.vot.registry import namesakes, registered, registered_trackers, that_saw_truth
from sam2rl_tracker.vot.results import Failure, agents_used, find_failure, made_with, tracked_names
from sam2rl_tracker.vot.scored import find_scored, scored_view
from sam2rl_tracker.vot.workspace import checked_workspace


@dataclass(frozen=True)
class Report:
    """What the toolkit measured, and the trackers it could not measure as their results are incomplete.

    Attributes:
        analysis: The toolkit's measures of the trackers with complete results.
        failures: The other trackers.
        trained: The trackers that saw the ground truth they are scored on.
        made_with: Of each tracker whose results tell, the models, devices and versions they were made with.
        not_scored: The sequences, objects and frames without known truth: no measure counts them, and no tracker needs
            results on them.
        boxes: Of each tracker, LaSOT's and GOT-10k's measures over the objects whose truth are boxes, if there are any.
        masks: Of each tracker, DAVIS' measures over the objects whose truth are masks, if there are any.
        namesakes: The trackers that have the name of one of ours and run something else.
        agents: Of each tracker whose results tell, the agents by which they were made.
    """

    analysis: Analysis
    failures: list[Failure]
    trained: frozenset[str]
    made_with: dict[str, list[str]] = field(default_factory=dict)
    not_scored: list[NotScored] = field(default_factory=list)
    boxes: dict[str, BoxMeasures] = field(default_factory=dict)
    masks: dict[str, MaskMeasures] = field(default_factory=dict)
    namesakes: frozenset[str] = frozenset()
    agents: dict[str, AgentsUsed] = field(default_factory=dict)

    @property
    def controls(self) -> dict[str, str]:
        """What agents decide, of the trackers whose agents decide more than the paper's: see `beyond_memory`."""
        return beyond_memory(self.agents)

    @property
    def fallbacks(self) -> dict[str, Fallbacks]:
        """{tracker: how many of its agents fell back to SAM 2's rule, and the gain with and without them}."""
        found = {}
        for name, used in self.agents.items():
            told = used.fallbacks(_gains(self.analysis, name))
            if told is not None:
                found[name] = told
        return found


def _gains(analysis: Analysis, tracker: str) -> dict[str, float]:
    """{sequence: difference of a tracker's quality to SAM 2's}, where both have one."""
    pairs = {
        sequence: (row[tracker].quality, row[REFERENCE].quality)
        for sequence, row in analysis.sequences.items()
        if tracker in row and REFERENCE in row
    }
    return {name: ours - base for name, (ours, base) in pairs.items() if ours is not None and base is not None}


def collect(folder: StrPath) -> Report:
    """Check the results in a workspace and let the toolkit analyse the complete ones.

    Args:
        folder: The workspace.

    Returns:
        The measures of every tracker with complete results, SAM 2 first, then in the order of the registry; the others
        are listed as failures, of which a caller should make a non-zero exit status.

    Raises:
        Sam2rlError: The workspace is unsuitable, or nothing was evaluated in it.
    """
    workspace = checked_workspace(folder, truth=False)
    scored = find_scored(workspace)
    known = registered_trackers(workspace)
    order = [REFERENCE, *known]
    names = sorted(
        tracked_names(workspace), key=lambda name: (order.index(name) if name in order else len(order), name)
    )
    if not names:
        raise Sam2rlError(
            f"{workspace.folder} has no results, expected those of at least one tracker: "
            f"`vot evaluate --workspace {workspace.folder} SAM2 SAMURAI DAM4SAM`."
        )
    found = {name: find_failure(workspace, name, scored.objects) for name in names}
    for name in names:
        if registered(known, name) is None:  # the toolkit gives up altogether at such a name
            found[name] = Failure(
                name, "any", f"it is not registered: add it to trackers.ini, or delete results/{name}"
            )
    complete = [name for name, failure in found.items() if failure is None]
    analysis = Analysis({}, {})
    if complete and scored.objects:
        with scored_view(workspace, scored, complete) as view:
            analysis = analyse(view, complete)
    return Report(
        analysis=analysis,
        failures=[failure for failure in found.values() if failure is not None],
        trained=that_saw_truth(workspace, names),
        made_with={name: made for name in complete if (made := made_with(workspace, name))},
        not_scored=scored.not_scored,
        namesakes=namesakes(workspace, names),
        agents={name: used for name in complete if (used := agents_used(workspace, name))},
    )
