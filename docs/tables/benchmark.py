"""The benchmark of all methods: docs/results.md, docs/benchmark.md and README.md."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from functools import cache, partial
from statistics import mean

from sam2rl_tracker.evaluation.methods import title
from sam2rl_tracker.report.benchmark_tables import to_markdown
from tables.cells import SEES_TRUTH, fraction, mean_and_span, percent, signed, span, table
from tables.files import DOCS, benchmark, read

METHODS = {
    "SAM2RL": "SAM2RL" + SEES_TRUTH,
    "never": "baseline: never (the prompted frame alone)",
    "stride": "baseline: stride (every 5th frame)",
    "random rule": "baseline: random rule (any action)",
}
SEARCHED = ("random", "greedy", "beam", "local", "best found")  # these ran on the first videos only


def methods(columns: Sequence[str]) -> list[str]:
    """Every method of the benchmark that ran on all videos.

    Args:
        columns: Some of "Accuracy" and "Robustness", beside Quality and its difference to SAM 2.
    """
    document, lines = benchmark(), []
    for key, row in document["methods"].items():
        if key in SEARCHED:
            continue
        scores = document["trackers"].get(key, {})
        rest = {
            "Accuracy": percent(scores["accuracy"]) if scores else "-",
            "Robustness": percent(scores["robustness"]) if scores else "-",
        }
        gain = ["", ""] if key == "SAM2" else [signed(100 * row["gain"]), span(row["low"], row["high"])]
        lines.append(
            [METHODS.get(key, title(key)), percent(row["quality"]), *gain, *(rest[column] for column in columns)]
        )
    return table(["", "Quality", "difference to SAM 2", "95 % interval", *columns], lines)


def changed_videos() -> list[str]:
    heads = ["", "SAM 2", "agent" + SEES_TRUTH, "difference", "95 % interval", "of the gain kept"]
    lines = []
    for key, row in benchmark()["transfer"].items():
        name = row["what"] if key != "original" else "the video it was trained on"
        scores = [percent(row["sam2"]), percent(row["agent"]), signed(100 * row["gain"]), span(row["low"], row["high"])]
        lines.append([name, *scores, f"{100 * row['kept']:.0f} %"])
    return table(heads, lines)


@cache
def _full_trainings() -> dict[str, dict[str, str]]:
    """The last iteration of each agent of the paper's budget, by sequence."""
    with (DOCS / "benchmark" / "full-budget.csv").open(newline="") as file:
        return {row["sequence"]: row for row in csv.DictReader(file) if row["training"].startswith("default method")}


def full_budget() -> list[str]:
    """The benchmark's first videos: what it reached there, beside agents of the paper's budget."""
    document = benchmark()
    keys = ("SAM2", "DAM4SAM", "SAMURAI", "beam", "SAM2RL")
    qualities, lines = [], []
    for timed in read("full-budget")["rows"]:
        name = timed["sequence"]
        full = _full_trainings()[name]
        qualities.append([*(document["videos"][name][key] for key in keys), float(full["best_greedy"])])
        reuse = 1 - int(full["evaluated"]) / int(full["steps"])
        lines.append([name, *map(percent, qualities[-1]), f"{100 * reuse:.0f} %", str(timed["minutes"])])
    means = [mean(column) for column in zip(*qualities, strict=True)]
    lines.append(["mean", *map(percent, means), "", ""])
    lines.append(["difference to SAM 2", "", *(signed(100 * (value - means[0])) for value in means[1:]), "", ""])
    heads = ["", "SAM 2", "DAM4SAM", "SAMURAI", "beam search, as many steps (on the ground truth it is scored on)"]
    heads += [f"agent, {steps} steps{SEES_TRUTH}" for steps in ("87 000", "2.49 million")]
    return table([*heads, "steps known", "minutes"], lines)


def numbers() -> dict[str, str]:
    document = benchmark()
    claims, rules = document["claims"], document["claims"]["heuristics"]
    times, low, high = rules["times"]
    seeds = {name: list(qualities.values()) for name, qualities in document["seeds"].items()}
    videos = document["videos"]
    seed_gains = [mean(100 * (seeds[name][k] - videos[name]["SAM2"]) for name in seeds) for k in range(3)]
    best_gain = mean(100 * (max(seeds[name]) - videos[name]["SAM2"]) for name in seeds)
    full_gain = mean(
        100 * (float(full["best_greedy"]) - videos[name]["SAM2RL"]) for name, full in _full_trainings().items()
    )
    return {
        "benchmark.seed_gains": "{:.1f}, {:.1f} and {:.1f} points".format(*seed_gains),
        "benchmark.best_seed_gain": f"{best_gain:.1f}",
        "full-budget.more": f"{-full_gain:.1f} points more",
        "benchmark.fell_back": f"{document['fallbacks']['fell_back']} of {document['fallbacks']['agents']}",
        "benchmark.times": f"{times:.1f} times (95 % interval {low:.1f} to {high:.1f})",
        "benchmark.excess": mean_and_span(rules["excess"]),
        "benchmark.searched": signed(100 * claims["searched_gain"][0]),
        **{f"benchmark.{key}": signed(100 * document["methods"][key]["gain"]) for key in claims["against"]},
        **{f"benchmark.less_{key}": mean_and_span(less) for key, less in claims["against"].items()},
        "benchmark.share": f"{100 * claims['share_of_best']:.0f} %",
        "benchmark.share_excess": mean_and_span(claims["share_excess"]),
        "benchmark.jpeg": f"{100 * document['transfer']['jpeg']['kept']:.0f} %",
        "benchmark.seeds": ", ".join(fraction(max(found) - min(found)) for found in seeds.values()),
    }


TABLES: dict[str, Callable[[], list[str]]] = {
    "benchmark-short": partial(methods, ()),
    "benchmark": partial(methods, ("Accuracy", "Robustness")),
    "benchmark-page": lambda: to_markdown(benchmark()).rstrip().split("\n"),
    "changed-videos": changed_videos,
    "full-budget": full_budget,
}
