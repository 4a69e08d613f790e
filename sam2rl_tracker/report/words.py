"""What the numbers say, in sentences for a person who has not seen the project."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sam2rl_tracker.evaluation.fallbacks import Fallbacks
from sam2rl_tracker.evaluation.intervals import FEW
from sam2rl_tracker.evaluation.measures import count_overlaps
from sam2rl_tracker.evaluation.memory import MemoryUse, memory_use
from sam2rl_tracker.evaluation.methods import title
from sam2rl_tracker.evaluation.results import ROUNDING, Difference, Results
from sam2rl_tracker.evaluation.tracks import ObjectTracks, worst_span


@dataclass(frozen=True)
class Summary:
    """The first words of the report.

    Attributes:
        headline: Which tracker won, by how much.
        points: (what it is about, what is said).
    """

    headline: str
    points: list[tuple[str, str]]


def summarise(results: Results) -> Summary:
    """Which tracker won, by how much, where, and why as far as the data tell.

    A tracker that saw the truth it is scored on does not win: what it reaches is said beside the best of the others.
    """
    if not results.trackers and results.not_scored:
        said = "See below why, then add truth or evaluate again."
        return Summary("No tracker could be measured", [("What to do", said)])
    if not results.trackers:
        return Summary("No tracker has complete results", [("What to do", "See below why, then evaluate again.")])
    trained = results.trained
    ranked = sorted(results.trackers, key=lambda name: -results.overall[name].quality)
    fair = [name for name in ranked if name not in trained] or ranked
    winner, base = fair[0], results.base
    quality = 100 * results.overall[winner].quality
    seen = ""
    if ranked[0] in trained and winner not in trained:
        best = title(ranked[0], results.namesakes, results.controls)
        seen = f"; {best}, trained on this truth, reaches {100 * results.overall[ranked[0]].quality:.1f} %"
    setting = [("What was measured", _setting(results))]
    if base is None or len(ranked) == 1:
        return Summary(f"{_name(winner, results)} has the highest quality: {quality:.1f} %{seen}", setting)
    told: list[tuple[str, str]] = []
    if winner == base:
        others = "No tracker that has not seen the truth" if seen else "No tracker"
        headline = f"{others} is better than {base}, whose quality is {quality:.1f} %{seen}"
        if len(fair) > 1:
            told = [("The next", _beside(results, fair[1])), *_why(results, fair[1])]
    else:
        gain = results.differences[winner]["quality"]
        among = " of those that have not seen the truth" if seen else ""
        headline = (
            f"{_name(winner, results)} has the highest quality{among}: {quality:.1f} %, {100 * gain.mean:.1f} "
            f"points above {base}'s {100 * results.overall[base].quality:.1f} %"
        )
        if gain.interval is not None and not gain.decided:
            headline += f", no difference that these {len(results.by_sequence)} sequences show"
        headline += seen
        told = [("How sure", _certainty(gain, len(results.by_sequence))), *_why(results, winner)]
    if seen:
        text = (
            f"It was trained on the very ground truth that it is scored on: its number says what control of the memory "
            f"can reach on these videos, not how it would do on others. {_beside(results, ranked[0])}"
        )
        gains = [said for what, said in _why(results, ranked[0]) if what == "Largest gain"]
        said_too = beyond({name: what for name, what in results.controls.items() if name == ranked[0]})
        told.append((ranked[0], " ".join([text, *said_too, *(f"Largest gain: {said}" for said in gains)])))
    told += [("Agents", sentence) for sentence in fallen_back(results.fallbacks)]
    return Summary(headline, told + setting)


def labelled(
    tracker: str, trained: Container[str], namesakes: Container[str], controls: Mapping[str, str] | None = None
) -> str:
    """A tracker's name for pictures, which says so if it is one of those that saw the truth they are scored on.

    Args:
        namesakes: As in `title`.
        controls: As in `title`.
    """
    return title(tracker, namesakes, controls) + " (trained on this truth)" * (tracker in trained)


def beyond(controls: Mapping[str, str]) -> list[str]:
    """What to know of agents that decide more than the paper's, a sentence for each tracker."""
    return [
        f"{title(name)} with control={control}: its agents also decide which candidate is the output and whether the "
        "object is there. Trained on the truth that they are scored on, they can learn that by heart: no part of the "
        "paper's claim."
        for name, control in controls.items()
    ]


def fallen_back(fallbacks: Mapping[str, Fallbacks]) -> list[str]:
    """How many agents fell back to SAM 2's own rule, a sentence for each tracker."""
    return [f"{title(name)}: {told.sentence()}" for name, told in fallbacks.items()]


def legend_label(tracker: str, results: Results) -> str:
    """The same for a legend, from which Matplotlib would leave out what begins with an underscore."""
    return _name(tracker, results).replace("_", " _", 1 if tracker.startswith("_") else 0)


def _name(tracker: str, results: Results) -> str:
    return labelled(tracker, results.trained, results.namesakes, results.controls)


def points(value: float) -> str:
    """A difference of fractions in percentage points, `+1.5`; what rounds to nothing has no sign."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def _setting(results: Results) -> str:
    scored = int(sum(one.scored.sum() for one in results.objects))
    return (
        f"{_count(len(results.trackers), 'tracker')} on {_count(len(results.by_sequence), 'sequence')} "
        f"({_count(len(results.objects), 'object')}, {scored} scored frames), by the VOT toolkit. The memory "
        "policies of this project run SAM 2 and differ in which earlier frames they keep in its memory. Quality is "
        "the mean overlap (IoU) of a tracker's mask with the true one over all frames; a frame without the object "
        "counts as 1 if the tracker says so and as 0 otherwise."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _beside(results: Results, tracker: str) -> str:
    gain = results.differences[tracker]["quality"]
    return (
        f"{_name(tracker, results)} with {100 * results.overall[tracker].quality:.1f} %, "
        f"{points(gain.mean)} points from {results.base}. {_certainty(gain, len(results.by_sequence))}"
    )


def _certainty(gain: Difference, count: int) -> str:
    if gain.interval is None:
        return "One sequence gives no interval: nothing follows for others."
    low, high = map(points, gain.interval)
    text = f"The 95 % interval of this difference over sequences, {low} to {high} points, "
    if not gain.decided:
        return text + f"includes 0: no difference that these {count} sequences show."
    if count < FEW:
        return text + f"leaves out 0, but {count} sequences are too few to rely on that."
    return text + "leaves out 0."


def _why(results: Results, tracker: str) -> list[tuple[str, str]]:
    """Where a tracker's difference to the baseline comes from."""
    base = results.base
    assert base is not None
    parts = results.decompose(tracker, base)
    ours, theirs = results.overall[tracker], results.overall[base]
    gain = points(results.differences[tracker]["quality"].mean)
    robustness = ""
    if ours.robustness is not None and theirs.robustness is not None:
        robustness = f" (robustness {100 * ours.robustness:.1f} % against {100 * theirs.robustness:.1f} %)"
    text = (
        f"Of the {gain} points, {points(parts.held)} come from frames on which one of the two lost the object and the "
        f"other did not{robustness}, {points(parts.masks)} from the masks where both hold it, {points(parts.absent)} "
        "from frames without the object."
    )
    told = [("Why", text)]
    gains = results.gains(tracker)
    best, worst = max(gains, key=lambda name: gains[name]), min(gains, key=lambda name: gains[name])
    if gains[best] > ROUNDING:
        share = ""
        if len(gains) > 1:
            share = f" This sequence alone makes {points(gains[best] / len(gains))} of the {gain} points."
        told.append(("Largest gain", _on(results, best, tracker, base, tracker) + share))
    if gains[worst] < -ROUNDING:
        told.append(("Largest loss", _on(results, worst, tracker, tracker, base)))
    else:
        told.append(("Largest loss", f"None: on no sequence is it worse than {base}."))
    return told


def _on(results: Results, sequence: str, tracker: str, loser: str, winner: str) -> str:
    """What happened on a sequence, on the object on which the loser falls behind most."""
    row = results.by_sequence[sequence]
    base = loser if tracker == winner else winner
    change = f"{sequence}, from {base}'s {100 * row[base].quality:.1f} % to {100 * row[tracker].quality:.1f} %. "
    objects = [one for one in results.objects if one.sequence == sequence]
    one = max(objects, key=lambda one: one.tracks[winner].measures.quality - one.tracks[loser].measures.quality)
    names = title(loser, results.namesakes), title(winner, results.namesakes)
    return change + _explain(one, loser, winner, names, len(objects) > 1)


def _explain(one: ObjectTracks, loser: str, winner: str, names: tuple[str, str], several: bool) -> str:
    span = worst_span(one, loser, winner)
    if span is None:
        return "The masks differ a little on many frames, and much on none."
    frames = np.arange(span[0], span[1] + 1)
    frames = frames[one.scored[frames]]
    lost, held = one.tracks[loser], one.tracks[winner]
    there = np.isin(np.arange(len(one.scored)), frames)
    counts = count_overlaps(lost.overlaps, lost.predicted, one.visible, there)
    how = [
        f"{what} on {number}"
        for number, what in (
            (counts.missed, "gives no mask"),
            (counts.failed, "marks something else"),
            (counts.hallucinated, "marks something though the object is absent"),
        )
        if number
    ]
    text = (
        f"{'Object ' + str(one.object_id) + ': ' if several else ''}{names[0]} falls behind from frame {span[0]} "
        f"to {span[1]}, where its mean IoU is {lost.overlaps[frames].mean():.2f} and {names[1]}'s "
        f"{held.overlaps[frames].mean():.2f}"
    )
    if how:
        text += f"; it {', '.join(how)} of these {len(frames)} frames"
    if lost.banks and held.banks and lost.banks[span[0]] != held.banks[span[0]]:
        text += (
            f". At frame {span[0]} {names[0]} remembers frames {ranges(lost.banks[span[0]])}, {names[1]} "
            f"frames {ranges(held.banks[span[0]])}"
        )
    return text + "."


def ranges(frames: Sequence[int]) -> str:
    """Ascending frames with runs drawn together: `0, 4, 11–16`."""
    parts: list[list[int]] = []
    for frame in frames:
        if parts and frame == parts[-1][1] + 1:
            parts[-1][1] = frame
        else:
            parts.append([frame, frame])
    return ", ".join(
        str(low) if low == high else f"{low}{'–' if high > low + 1 else ', '}{high}" for low, high in parts
    )


def habits(results: Results) -> str:
    """How trained agents treat the memory, beside SAM 2."""
    sentences = []
    base = memory_use(results.objects, results.base) if results.base else None
    for name in sorted(results.trained & set(results.trackers)):
        use = memory_use(results.objects, name)
        if use is not None and base is not None:
            sentences.append(
                f"{name} {_habit(use)}; {results.base}, which always keeps the newest frames, {_habit(base)}."
            )
    return " ".join(sentences)


def _habit(use: MemoryUse) -> str:
    unused = f"never used {100 * use.unused:.0f} % of the frames" if use.unused >= 0.005 else "used every frame"
    return (
        f"{unused} as a memory, its memories were {use.median:.0f} frames old in the median, and the one that stayed "
        f"longest was {use.longest} frames old"
    )
