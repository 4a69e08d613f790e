"""What came of a benchmark: its tables in Markdown and CSV."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sam2rl_tracker.evaluation.benchmark import BenchmarkDocument, Beside, Claims, Method, Spread, Survival
from sam2rl_tracker.evaluation.methods import AGENTS, BASELINES, BEST, REFERENCE, SEARCHES, title
from sam2rl_tracker.media.files import atomic_path
from sam2rl_tracker.report.words import beyond, points
from sam2rl_tracker.runs.provenance import BENCHMARK_PACKAGES

SEARCHED = (*SEARCHES, BEST)
_MANY = 20  # videos from which a percentile bootstrap holds about what it says


def write_csv(path: Path, document: BenchmarkDocument) -> None:
    """Write every method's measures on every video.

    Args:
        path: A .csv.
        document: A benchmark's.

    Raises:
        Sam2rlError: The file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["sequence", "method", "quality", "difference to SAM 2", "accuracy", "robustness", "sees truth"]
        )
        for name, row in document.videos.items():
            for key, value in row.items():
                scores = document.sequences[name].get(key, {})
                rest = (scores.get("accuracy"), scores.get("robustness"), document.methods[key].sees_truth)
                writer.writerow([name, key, value, value - row[REFERENCE], *rest])


def to_markdown(content: Mapping[str, Any]) -> str:
    """The tables of a benchmark, by the content of its `benchmark.json`, in Markdown."""
    return make_tables(BenchmarkDocument.from_json(content))


def make_tables(document: BenchmarkDocument) -> str:
    """The tables of a benchmark in Markdown."""
    claims = document.claims
    parts = {"All methods": _main_table(document)}
    if claims is not None:
        parts |= {
            "Searches": _searches_table(document, claims),
            "What can be claimed": _sentences(document, claims),
            "On changed videos": _transfer_table(document.transfer),
            "Seeds": _seeds_table(document),
        }
    parts |= {"Every video": _videos_table(document), "How it was made": _making(document)}
    return "\n".join(line for title, lines in parts.items() for line in (f"## {title}", "", *lines, ""))


def _main_table(document: BenchmarkDocument) -> list[str]:
    lines = [
        f"Means over {len(document.videos)} videos, in %. Differences are to SAM 2. Intervals are 95 % bootstrap "
        f"intervals over videos. The baselines ({', '.join(BASELINES)}) were evaluated by the tracker alone. "
        f"Frames/s are those of `vot evaluate` with one thread on {document.settings['device']}, with "
        "as many trackers at a time as there were jobs.",
        "",
        "| | Quality | difference | 95 % interval | Accuracy | Robustness | simulated steps | frames/s |",
        "|--|--|--|--|--|--|--|--|",
    ]
    for key, row in document.methods.items():
        if key in SEARCHED:
            continue
        scores = document.trackers.get(key, {})
        difference = ["", ""] if key == REFERENCE else [points(row.gain), _interval(row.low, row.high)]
        cells = [_percent(row.quality), *difference]
        for name, gain in (("accuracy", row.accuracy_gain), ("robustness", row.robustness_gain)):
            cells.append(_percent(scores.get(name)) + (f" ({points(gain[0])})" if gain and key != REFERENCE else ""))
        cells += [_number(row.steps), _number(row.fps)]
        lines.append(f"| {_labelled(key, row)} | {' | '.join(cells)} |")
    return lines


def _searches_table(document: BenchmarkDocument, claims: Claims) -> list[str]:
    """What was found without learning, on the videos that were searched."""
    searched = [name for name, row in document.videos.items() if BEST in row]
    lines = [
        f"Searches on the first {len(searched)} videos, and the agents there. All were evaluated by the tracker."
        + " Bootstrap intervals over so few videos are rather too narrow." * (len(searched) < _MANY),
        "",
        "| | Quality | difference | 95 % interval | simulated steps |",
        "|--|--|--|--|--|",
    ]
    gains = {REFERENCE: None, AGENTS: claims.searched_gain}
    for key, row in document.methods.items():
        if key in SEARCHED:
            gains[key] = Spread(row.gain, row.low, row.high)
    for key, gain in gains.items():
        row = document.methods[key]
        quality = sum(document.videos[name][key] for name in searched) / len(searched)
        taken = [document.steps[name][key] for name in searched if key in document.steps[name]]
        steps = sum(taken) / len(taken) if taken else None
        cells = [_percent(quality), *(["", ""] if gain is None else [points(gain[0]), _interval(*gain[1:])])]
        lines.append(f"| {_labelled(key, row)} | {' | '.join([*cells, _number(steps)])} |")
    return lines


def _transfer_table(transfer: Mapping[str, Survival]) -> list[str]:
    lines = [
        "The agents on changed versions of the videos they were trained on. Where every second frame is left "
        "out, so is every second decision: what remains is another rule.",
        "",
        "| | SAM 2 | agent (trained on the first row's ground truth) | difference | 95 % interval | of the gain kept |",
        "|--|--|--|--|--|--|",
    ]
    for row in transfer.values():
        cells = [
            _percent(row.sam2),
            _percent(row.agent),
            points(row.gain),
            _interval(row.low, row.high),
        ]
        kept = "-" if row.kept is None else f"{100 * row.kept:.0f} %"
        lines.append(f"| {row.what} | {' | '.join(cells)} | {kept} |")
    return lines


def _seeds_table(document: BenchmarkDocument) -> list[str]:
    """Only the first seed's agents stand in the other tables."""
    seeds = list(next(iter(document.seeds.values()), {}))
    lines = [
        "Quality, in %, of agents of several seeds, trained on the ground truth they are scored on. Only the first "
        "seed's stand in the other tables.",
        "",
    ]
    lines += ["| | SAM 2 | " + " | ".join(f"seed {seed}" for seed in seeds) + " |", "|--" * (len(seeds) + 2) + "|"]
    for name, qualities in document.seeds.items():
        cells = [_percent(value) for value in (document.videos[name][REFERENCE], *qualities.values())]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _videos_table(document: BenchmarkDocument) -> list[str]:
    methods = {key: row for key, row in document.methods.items() if key != REFERENCE}
    heads = [_labelled(key, row, "this truth") for key, row in methods.items()]
    lines = ["SAM 2's Quality on each video, in %, and the differences of the others to it.", ""]
    lines += [f"| | SAM 2 | {' | '.join(heads)} |", "|--" * (len(heads) + 2) + "|"]
    for name, row in document.videos.items():
        cells = [_percent(row[REFERENCE])]
        cells += [points(row[key] - row[REFERENCE]) if key in row else "-" for key in methods]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _making(document: BenchmarkDocument) -> list[str]:
    """How the numbers came about."""
    settings = document.settings
    agents = f"; {_trainings(settings)}" if document.claims else ""
    spent = ", ".join(f"{name} {value / 60:.0f}" for name, value in settings["seconds"].items() if value)
    versions = ", ".join(f"{name} {settings[name]}" for name in (*BENCHMARK_PACKAGES, "python"))
    return [
        f"Made with: preset {settings['preset']}, {settings['frames']} frames, videos from seed {settings['seed']}, "
        f"model {settings['model']} ({settings['model_hash']}){agents}. {versions}; {settings['device']}, one thread "
        f"each; on {'; '.join(settings['made_on'])}. Minutes of one process each: {spent}."
    ]


def _trainings(settings: Mapping[str, Any]) -> str:
    """How agents were trained and decisions searched."""
    ppo = settings["settings"]
    begin = (
        f"each started from the best of a beam of {ppo['beam']} and trained by behaviour cloning on its best rollout "
        f"(imitation={ppo['imitation']}){_climbing(ppo)}"
        if ppo["imitation"]
        else "PPO alone"
    ) + ", on relative rewards" * ppo["relative"]
    given = settings["control_steps"]
    steps = f"{given:,} steps each" if given else "as many steps as the agent of the video took"
    return (
        f"agents of {ppo['iterations']} iterations of {ppo['samples']:,} transitions at most, {begin}; searches "
        f"with {steps}"
    )


def _climbing(ppo: Mapping[str, Any]) -> str:
    """The local search of a training, which earlier ones lack."""
    steps = ppo.get("local", 0)
    return f", which {steps:,} steps of local search improve in each iteration" if steps else ""


def method_name(key: str, row: Method) -> str:
    """A method's name in pictures: a search says so, as there is a random rule too."""
    return _of(key, row) + "*" * row.sees_truth


def _labelled(key: str, row: Method, truth: str = "the ground truth it is scored on") -> str:
    """A method's name in tables, which says whether it sees the truth that it is scored on."""
    how = "trained on" if key == AGENTS else "sees"
    return _of(key, row) + (f" ({how} {truth})" if row.sees_truth else "")


def _of(key: str, row: Method) -> str:
    """A method's name, behind which agents say what they decide, if it is more than the memory."""
    return _plain(key) + (f" (control={row.control})" if row.control is not None else "")


def _plain(key: str) -> str:
    return title(key) + " search" * (key in SEARCHES)


def _sentences(document: BenchmarkDocument, claims: Claims) -> list[str]:
    """What the numbers say of the claims."""
    control = document.methods[AGENTS].control
    lines = [
        "Agents and searches see the ground truth they are scored on. Rules and baselines do not.",
        f"The agents gain {_span(claims.agent_gain)} points over SAM 2.",
    ]
    if document.fallbacks is not None:
        lines.append(document.fallbacks.sentence())
    if control is not None:
        lines += beyond({AGENTS: control})
    for rule, what in ((claims.heuristics, "published rule"), (claims.baselines, "baseline")):
        if rule is not None and control is None:
            lines += _beside(rule, what, claims.times_wanted)
    against = ", ".join(f"{_plain(key)} {_span(difference)}" for key, difference in claims.against.items())
    if against:
        lines.append(f"The agents' gain less the searches': {against}.")
    lines += [
        f"On the {claims.searched} videos that were searched the agents reach "
        f"{_percent(claims.share_of_best)} % of the gain of the best found by any method.",
        f"That it is more than {100 * claims.share_wanted:.0f} % {_verdict(claims.share_excess)} "
        f"({_span(claims.share_excess)}).",
    ]
    return lines


def _beside(rule: Beside, what: str, wanted: int) -> list[str]:
    """The agents beside the best rule of a kind."""
    lines = [f"The best {what} here is {title(rule.best)}: {_span(rule.gain)}."]
    if rule.times is None or rule.excess is None:
        return [*lines, "It gains nothing, so that how many times as much the agents gain says nothing."]
    ratio, low, high = rule.times
    if low is not None:
        lines.append(f"The agents gain {ratio:.1f} times as much ({low:.1f} to {high:.1f}).")
    lines.append(
        f"That they gain more than {wanted} times as much {_verdict(rule.excess)} (their gain less {wanted} times "
        f"the rule's: {_span(rule.excess)})."
    )
    return lines


def _verdict(excess: Sequence[float | None]) -> str:
    _, low, high = excess
    if low is None or high is None:
        return "cannot be told from so few videos"
    return "holds" if low > 0 else "does not hold" if high < 0 else "is not decided by these videos"


def _span(values: Sequence[float | None]) -> str:
    """A mean with its interval, if it has one."""
    mean, low, high = values
    assert mean is not None
    return points(mean) + ("" if low is None else f" ({_interval(low, high)})")


def _interval(low: float | None, high: float | None) -> str:
    return "-" if low is None or high is None else f"{points(low)} to {points(high)}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
