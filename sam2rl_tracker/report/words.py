"""What the numbers say, in sentences for a person who has not seen the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sam2rl_tracker.report.measured import DUST, Difference, Measured, ObjectTracks
from sam2rl_tracker.report.table import labelled

FEW = 6
"""With fewer sequences all of them may differ the same way by chance too often for an interval to prove anything."""

_BETTER = 0.2  # IoU by which a tracker must be ahead on a frame for the frame to explain something


@dataclass(frozen=True)
class Summary:
    """The first words of the report.

    Attributes:
        points: (what it is about, what is said).
    """

    headline: str
    points: list[tuple[str, str]]


def summarise(measured: Measured) -> Summary:
    """Which tracker won, by how much, where, and why as far as the data tell.

    A tracker that saw the truth it is scored on does not win: what it reaches is said beside the best of the others.
    """
    if not measured.trackers:
        return Summary("No tracker has complete results", [("What to do", "See below why, then evaluate again.")])
    trained = measured.report.trained
    ranked = sorted(measured.trackers, key=lambda name: -measured.overall[name].quality)
    fair = [name for name in ranked if name not in trained] or ranked
    winner, base = fair[0], measured.base
    quality = 100 * measured.overall[winner].quality
    seen = ""
    if ranked[0] in trained and winner not in trained:
        seen = f"; {ranked[0]}, trained on this truth, reaches {100 * measured.overall[ranked[0]].quality:.1f} %"
    setting = [("What was measured", _setting(measured))]
    if base is None or len(ranked) == 1:
        return Summary(f"{labelled(winner, trained)} has the highest quality: {quality:.1f} %{seen}", setting)
    told: list[tuple[str, str]] = []
    if winner == base:
        others = "No tracker that has not seen the truth" if seen else "No tracker"
        headline = f"{others} is better than {base}, whose quality is {quality:.1f} %{seen}"
        if len(fair) > 1:
            told = [("The next", _beside(measured, fair[1])), *_why(measured, fair[1])]
    else:
        gain = measured.differences[winner]["quality"]
        among = " of those that have not seen the truth" if seen else ""
        headline = (
            f"{labelled(winner, trained)} has the highest quality{among}: {quality:.1f} %, {100 * gain.mean:.1f} "
            f"points above {base}'s {100 * measured.overall[base].quality:.1f} %"
        )
        if gain.interval is not None and not gain.decided:
            headline += f", no difference that these {len(measured.by_sequence)} sequences show"
        headline += seen
        told = [("How sure", _certainty(gain, len(measured.by_sequence))), *_why(measured, winner)]
    if seen:
        text = (
            f"It was trained on the very ground truth that it is scored on: its number says what control of the memory "
            f"can reach on these videos, not how it would do on others. {_beside(measured, ranked[0])}"
        )
        gains = [said for what, said in _why(measured, ranked[0]) if what == "Largest gain"]
        told.append((ranked[0], " ".join([text, *(f"Largest gain: {said}" for said in gains)])))
    return Summary(headline, told + setting)


def points(value: float) -> str:
    """A difference of fractions in percentage points, `+1.5`; what rounds to nothing has no sign."""
    text = f"{100 * value:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def _setting(measured: Measured) -> str:
    scored = int(sum(one.scored.sum() for one in measured.objects))
    return (
        f"{_count(len(measured.trackers), 'tracker')} on {_count(len(measured.by_sequence), 'sequence')} "
        f"({_count(len(measured.objects), 'object')}, {scored} scored frames), by the VOT toolkit. The memory "
        "policies of this project run SAM 2 and differ in which earlier frames they keep in its memory. Quality is "
        "the mean overlap (IoU) of a tracker's mask with the true one over all frames; a frame without the object "
        "counts as 1 if the tracker says so and as 0 otherwise."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def _beside(measured: Measured, tracker: str) -> str:
    gain = measured.differences[tracker]["quality"]
    return (
        f"{labelled(tracker, measured.report.trained)} with {100 * measured.overall[tracker].quality:.1f} %, "
        f"{points(gain.mean)} points from {measured.base}. {_certainty(gain, len(measured.by_sequence))}"
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


def _why(measured: Measured, tracker: str) -> list[tuple[str, str]]:
    """Where a tracker's difference to the baseline comes from."""
    base = measured.base
    assert base is not None
    held, masks, absent = map(points, decompose(measured, tracker, base))
    ours, theirs = measured.overall[tracker], measured.overall[base]
    gain = points(measured.differences[tracker]["quality"].mean)
    text = f"Of the {gain} points, {held} come from frames on which one of the two lost the object and the "
    text += "other did not"
    if ours.robustness is not None and theirs.robustness is not None:
        text += f" (robustness {100 * ours.robustness:.1f} % against {100 * theirs.robustness:.1f} %)"
    text += f", {masks} from the masks where both hold it, {absent} from frames without the object."
    told = [("Why", text)]
    gains = measured.gains(tracker)
    best, worst = max(gains, key=lambda name: gains[name]), min(gains, key=lambda name: gains[name])
    if gains[best] > DUST:
        share = ""
        if len(gains) > 1:
            share = f" This sequence alone makes {points(gains[best] / len(gains))} of the {gain} points."
        told.append(("Largest gain", _on(measured, best, tracker, base, tracker) + share))
    if gains[worst] < -DUST:
        told.append(("Largest loss", _on(measured, worst, tracker, tracker, base)))
    else:
        told.append(("Largest loss", f"None: on no sequence is it worse than {base}."))
    return told


def decompose(measured: Measured, tracker: str, base: str) -> tuple[float, float, float]:
    """The difference in quality between two trackers, in exact parts.

    Returns:
        What frames contribute on which the object is visible and held (IoU > 0) by one of the two only, those on which
        both hold it, and those without the object.
    """
    parts = np.zeros(3)
    for one in measured.objects:
        siblings = sum(other.sequence == one.sequence for other in measured.objects)
        weight = len(measured.by_sequence) * siblings * max(1, one.scored.sum())
        ours, theirs = one.tracks[tracker].overlaps, one.tracks[base].overlaps
        gain = np.where(one.scored, ours - theirs, 0)
        both = (ours > 0) & (theirs > 0)
        for part, flags in enumerate((one.visible & ~both, one.visible & both, ~one.visible)):
            parts[part] += gain[flags].sum() / weight
    return float(parts[0]), float(parts[1]), float(parts[2])


def _on(measured: Measured, sequence: str, tracker: str, loser: str, winner: str) -> str:
    """What happened on a sequence, on the object on which the loser falls behind most."""
    row = measured.by_sequence[sequence]
    base = loser if tracker == winner else winner
    change = f"{sequence}, from {base}'s {100 * row[base].quality:.1f} % to {100 * row[tracker].quality:.1f} %. "
    objects = [one for one in measured.objects if one.sequence == sequence]
    one = max(objects, key=lambda one: one.tracks[winner].measures.quality - one.tracks[loser].measures.quality)
    return change + _explain(one, loser, winner, len(objects) > 1)


def _explain(one: ObjectTracks, loser: str, winner: str, several: bool) -> str:
    span = worst_span(one, loser, winner)
    if span is None:
        return "The masks differ a little on many frames, and much on none."
    frames = np.arange(span[0], span[1] + 1)
    frames = frames[one.scored[frames]]
    lost, held = one.tracks[loser], one.tracks[winner]
    missed = int((one.visible & ~lost.predicted)[frames].sum())
    elsewhere = int((one.visible & lost.predicted & (lost.overlaps == 0))[frames].sum())
    wrongly = int((~one.visible & lost.predicted)[frames].sum())
    how = [
        f"{what} on {number}"
        for number, what in (
            (missed, "gives no mask"),
            (elsewhere, "marks something else"),
            (wrongly, "marks something though the object is absent"),
        )
        if number
    ]
    text = (
        f"{'Object ' + str(one.object_id) + ': ' if several else ''}{loser} falls behind from frame {span[0]} to "
        f"{span[1]}, where its mean IoU is {lost.overlaps[frames].mean():.2f} and {winner}'s "
        f"{held.overlaps[frames].mean():.2f}"
    )
    if how:
        text += f"; it {', '.join(how)} of these {len(frames)} frames"
    if lost.banks and held.banks and lost.banks[span[0]] != held.banks[span[0]]:
        text += (
            f". At frame {span[0]} {loser} remembers frames {ranges(lost.banks[span[0]])}, {winner} frames "
            f"{ranges(held.banks[span[0]])}"
        )
    return text + "."


def worst_span(one: ObjectTracks, loser: str, winner: str) -> tuple[int, int] | None:
    """First and last of the frames in a row on which the loser falls behind most; None if it never does by much.

    It is the run with the largest sum of (IoU of the winner - IoU of the loser - 0.2).
    """
    excess = one.tracks[winner].overlaps - one.tracks[loser].overlaps - _BETTER
    best, found = 0.0, None
    total, begin = 0.0, 0
    for t, value in enumerate(np.where(one.scored, excess, 0.0)):
        if total <= 0:
            total, begin = 0.0, t
        total += float(value)
        if total > best:
            best, found = total, (begin, t)
    return found


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
