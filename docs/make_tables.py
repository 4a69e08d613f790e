"""Put every measured number of the documents in its place, from the one file that holds it.

python docs/make_tables.py            rewrite what stands between markers in README.md, docs/ and nano's card
python docs/make_tables.py --check    change nothing, name what is out of date, and end with 1

What the rules say of themselves comes from their classes, as `sam2rl policies` shows it.

The numbers are in docs/benchmark/, as `sam2rl benchmark` wrote them, and in docs/numbers/, a file for each measurement:
commands, model, machine, the day on which the numbers were entered, the rows as they were printed, and under `facts`
single numbers that sentences name. To enter a new measurement, change the file with its date, and run this script.

Three kinds of markers take the numbers in. They are invisible on the rendered page:

    <!-- table: NAME --> ... <!-- end -->       a table, one of TABLES
    <!-- measured: NAME --> ... <!-- end -->    how docs/numbers/NAME.json was made: commands, model, machine, day
    <!-- n: NAME -->...<!-- /n -->              a number in a sentence, one of `numbers()`; never first on its line,
                                                where Markdown would begin a block of HTML
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import cache, partial
from math import prod
from pathlib import Path
from statistics import mean
from typing import Any

from safetensors import safe_open

from sam2rl_tracker.evaluation.methods import title
from sam2rl_tracker.policies import Basis
from sam2rl_tracker.policies.registry import BUILTIN
from sam2rl_tracker.policies.rules import Rule, find_rule
from sam2rl_tracker.report.benchmark_tables import to_markdown

DOCS = Path(__file__).resolve().parent
CARD = DOCS.parent / "sam2rl_tracker" / "models" / "nano" / "MODEL_CARD.md"
PAGES = (DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md")), CARD)
BLOCK = re.compile(r"(<!-- (table|measured): (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"(<!-- n: (\S+) -->).*?(<!-- /n -->)", re.DOTALL)
OPENING = re.compile(r"<!-- (?:table|measured|n): \S+ -->")
SEES_TRUTH = " (trained on the ground truth it is scored on)"
ABSENT = "Absent frames without a mask"


def main(arguments: Sequence[str] | None = None) -> str | None:
    """Bring the pages up to date, or say which are not: a sentence, or None."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; end with 1 where a page is out of date")
    check = parser.parse_args(arguments).check
    stale = []
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = fill(before, page.relative_to(DOCS.parent).as_posix())
        if after == before:
            continue
        stale.append(page.relative_to(DOCS.parent).as_posix())
        if not check:
            page.write_text(after, encoding="utf-8")
    if check and stale:
        return f"Out of date: {', '.join(stale)}. Run `python docs/make_tables.py`."
    return None


def fill(text: str, page: str) -> str:
    """A page's text with everything between its markers written anew.

    Args:
        text: The page.
        page: Its name, for errors.

    Raises:
        SystemExit: A marker is not closed, names what there is not, or stands where Markdown would break.
    """

    def block(match: re.Match[str]) -> str:
        opening, kind, name, closing = match.groups()
        lines = known(TABLES, name)() if kind == "table" else measured(name)
        return "\n".join([opening, *lines, "", closing])

    def number(match: re.Match[str]) -> str:
        opening, name, closing = match.groups()
        return opening + known(numbers(), name) + closing

    def known(names: dict[str, Any], name: str) -> Any:
        if name not in names:
            raise SystemExit(f"{page} asks for `{name}`, which is none of: {', '.join(names)}.")
        return names[name]

    found = [match.group(0) for match in (*BLOCK.finditer(text), *NUMBER.finditer(text))]
    if len(found) != len(OPENING.findall(text)) or any(len(OPENING.findall(match)) > 1 for match in found):
        raise SystemExit(
            f"{page} has a marker that is not closed: a table ends with <!-- end -->, a number with <!-- /n -->."
        )
    if first := re.search(r"^\s*<!-- n: (\S+) -->", text, re.MULTILINE):
        raise SystemExit(f"{page} has the number `{first.group(1)}` first on a line: put a word before it.")
    return NUMBER.sub(number, BLOCK.sub(block, text))


# ------------------------------------------------------------------------------------------------------------- files


@cache
def read(name: str) -> dict[str, Any]:
    """A measurement of docs/numbers/."""
    path = DOCS / "numbers" / f"{name}.json"
    if not path.is_file():
        raise SystemExit(f"docs/numbers/{name}.json does not exist.")
    return dict(json.loads(path.read_text(encoding="utf-8")))


@cache
def benchmark() -> dict[str, Any]:
    """What `sam2rl benchmark` wrote: its fields are described in `sam2rl_tracker.experiments.benchmark`."""
    return dict(json.loads((DOCS / "benchmark" / "default.json").read_text(encoding="utf-8")))


def row_of(name: str, column: str, value: Any) -> dict[str, Any]:
    """The first row of a measurement that has this value."""
    return next(row for row in read(name)["rows"] if row.get(column) == value)


def measured(name: str) -> list[str]:
    """Commands, and what they ran on."""
    about = read(name)
    made = f"Measured with {about['model']} on {about['machine']}. Recorded on {about['recorded']}."
    return ["```sh", *about["command"], "```", "", made]


# ------------------------------------------------------------------------------------------------------------ tables


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Lines of a Markdown table."""
    heads = list(heads)
    return [f"| {' | '.join(heads)} |", "|--" * len(heads) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def signed(value: float, digits: int = 1) -> str:
    """A difference with its sign; what rounds to nothing has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text


def fraction(value: float) -> str:
    """A fraction without the zero before its point: .551."""
    return f"{value:.3f}".removeprefix("0")


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def span(low: float, high: float) -> str:
    """An interval of fractions, in points."""
    return f"{signed(100 * low)} to {signed(100 * high)}"


def titled(row: dict[str, Any]) -> str:
    return title(row["tracker"]) + SEES_TRUTH * row.get("sees_truth", False)


def trackers(name: str, sequences: bool = False, extra: str = "") -> list[str]:
    """The table of `sam2rl report`: a tracker's measures, and what it gains over SAM 2 in brackets.

    Args:
        name: Of the measurement.
        sequences: Whether to add Quality on each sequence.
        extra: Another column of Quality, by the measurement's field `nano`, and its head.
    """
    rows = read(name)["rows"]
    names = list(rows[0]["sequences"]) if sequences else []
    lines = []
    for row in rows:
        cells = [titled(row)]
        for k, measure in enumerate(("quality", "accuracy", "robustness")):
            gain = f" ({signed(row['gains'][k])})" if "gains" in row else ""
            cells.append(f"{row[measure]:.1f}{gain}" if measure in row else "-")
        cells += [f"{row['sequences'][sequence]:.1f}" for sequence in names]
        cells += [f"{row['nano']:.1f}"] if extra else []
        lines.append(cells)
    return table(["", "Quality", "Accuracy", "Robustness", *names, *([extra] if extra else [])], lines)


METHODS = {
    "SAM2RL": "SAM2RL" + SEES_TRUTH,
    "never": "baseline: never (the prompted frame alone)",
    "stride": "baseline: stride (every 5th frame)",
    "random rule": "baseline: random rule (any action)",
}
SEQUENCES = ("bmx-bumps", "bmx-trees", "libby")  # the real videos
SEARCHED = ("random", "greedy", "beam", "best found")  # these ran on the first videos only


def methods(columns: Sequence[str]) -> list[str]:
    """Every method of the benchmark that ran on all videos.

    Args:
        columns: Some of "Accuracy", "Robustness" and "frames/s", beside Quality and its difference to SAM 2.
    """
    document, lines = benchmark(), []
    for key, row in document["methods"].items():
        if key in SEARCHED:
            continue
        scores = document["trackers"].get(key, {})
        rest = {
            "Accuracy": percent(scores["accuracy"]) if scores else "-",
            "Robustness": percent(scores["robustness"]) if scores else "-",
            "frames/s": f"{row['fps']:.0f}" if row["fps"] else "-",
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
def full_trainings() -> dict[str, dict[str, str]]:
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
        full = full_trainings()[name]
        qualities.append([*(document["videos"][name][key] for key in keys), float(full["best_greedy"])])
        reuse = 1 - int(full["evaluated"]) / int(full["steps"])
        lines.append([name, *map(percent, qualities[-1]), f"{100 * reuse:.0f} %", str(timed["minutes"])])
    means = [mean(column) for column in zip(*qualities, strict=True)]
    lines.append(["mean", *map(percent, means), "", ""])
    lines.append(["difference to SAM 2", "", *(signed(100 * (value - means[0])) for value in means[1:]), "", ""])
    heads = ["", "SAM 2", "DAM4SAM", "SAMURAI", "beam search, 79 000 steps (on the ground truth it is scored on)"]
    heads += [f"agent, {steps} steps{SEES_TRUTH}" for steps in ("87 000", "2.49 million")]
    return table([*heads, "steps known", "minutes"], lines)


def generated(before: bool = False) -> list[str]:
    """Rules on 64 generated videos.

    Args:
        before: Whether to add Quality with nano's earlier weights.
    """
    heads = ["Rule", "Quality", "95 % interval", "Accuracy", "Robustness", ABSENT]
    lines = []
    for row in read("generated-64")["rows"]:
        name = title(row["rule"]) + (f" ({row['what']})" if "what" in row else "")
        interval = f"{fraction(row['low'])} to {fraction(row['high'])}"
        rest = [fraction(row[key]) for key in ("accuracy", "robustness", "absent")]
        rest += [fraction(row["before"]) if "before" in row else "-"] if before else []
        lines.append([name, fraction(row["quality"]), interval, *rest])
    return table([*heads, *(["Quality, earlier weights"] if before else [])], lines)


def mosam_parts() -> list[str]:
    """What each part of MoSAM-style does, between SAM 2's rule and the whole, on the videos of `generated`."""
    whole = {row["rule"]: row for row in read("generated-64")["rows"]}
    rows = [{**whole["recency"], "rule": "`recency`"}, *read("mosam-64")["rows"]]
    return _parts([*rows, {**whole["MoSAM"], "rule": "default: all but dense"}])


def _parts(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Rules and their measures; behind Quality the mean difference to SAM 2's and its standard error, if there."""
    lines = []
    for row in rows:
        quality, *rest = (fraction(row[key]) for key in ("quality", "accuracy", "robustness", "absent"))
        if "difference" in row:
            difference, error = row["difference"]
            quality += f" ({'-' if difference < 0 else '+'}{fraction(abs(difference))} ± {fraction(error)})"
        lines.append([row["rule"], quality, *rest])
    return table(["", "Quality", "Accuracy", "Robustness", ABSENT], lines)


def nano_goals() -> list[str]:
    recency, sam2 = row_of("generated-64", "rule", "recency"), row_of("real-videos", "tracker", "SAM2")
    lines = []
    for goal in read("nano-goals")["rows"]:
        reached = sam2["sequences"][goal["of"]] / 100 if goal["file"] == "real-videos" else recency[goal["of"]]
        lines.append([goal["measure"], fraction(reached), fraction(goal["wanted"])])
    return table(["By SAM 2's rule", "`nano`", "wanted"], lines)


def speed() -> list[str]:
    lines = []
    for row in read("speed")["rows"]:
        cells = [row["policy"], str(row["objects"]), str(row["frames"]), f"{row['ours']:.1f}", f"{row['stock']:.1f}"]
        cells += [f"{row['ratio']:.2f}", f"{row['cost']:g}"]
        if "growth" in row:
            cells += [f"{row['growth']} MB (stock {row['stock_growth']})"]
            cells += [f"{row['late']:.2f} (stock {row['stock_late']:.2f})"]
        lines.append([*cells, *[""] * (9 - len(cells))])
    heads = ["policy", "objects", "frames", "ours", "stock", "ratio", "cost", "growth of memory", "late"]
    return table(heads, lines)


def profile(name: str, rows: int = 1) -> list[str]:
    """Where the time of a step or a frame goes.

    Args:
        name: Of the measurement.
        rows: The batch size whose parts are shown.
    """
    lines = []
    for row in read(name)["rows"]:
        if row["rows"] != rows:
            continue
        share = f"{100 * row['share']:.0f} %" if "share" in row else "-"
        most = f"{row['faster_at_most']:.2f}" if "faster_at_most" in row else "-"
        work = [f"{row['mflop_per_row']:.1f}", f"{row['mb_per_row']:.1f}", _of_ceiling(row["ms_per_row"], row)]
        lines.append([row["part"], f"{row['ms_per_row']:.3f}", *work, share, most])
    return table(["Part", "ms a row", "MFLOP", "MB", "of the ceiling", "Share", "at most"], lines)


def profile_sizes() -> list[str]:
    """Steps of SAM 2.1's sizes: the image, and each part of a row."""
    steps: dict[tuple[str, int, int], dict[str, dict[str, Any]]] = {}
    for row in read("profile-sizes")["rows"]:
        steps.setdefault((row["model"], row["input_size"], row["rows"]), {})[row["part"]] = row
    lines = []
    for (model, size, count), parts in steps.items():
        image = parts.pop("encode the image")
        ms = {part: row["ms_per_row"] for part, row in parts.items()}
        step = sum(ms.values())
        gflop = sum(row["mflop_per_row"] for row in parts.values()) / 1e3
        lines.append(
            [
                model,
                str(size),
                str(count),
                f"{count * image['ms_per_row']:.0f}",
                f"{step:.0f}",
                *(
                    f"{100 * ms[part] / step:.0f} %"
                    for part in ("attend to the bank", "decode masks", "encode the memory")
                ),
                f"{gflop:.1f}",
                _of_ceiling(step, image | {"mflop_per_row": 1e3 * gflop}),
            ]
        )
    heads = ["Model", "Input", "Rows", "image, ms", "step, ms a row", "attention", "decoder", "memory encoder"]
    return table([*heads, "GFLOP a row", "of the ceiling"], lines)


def _of_ceiling(ms: float, row: dict[str, Any]) -> str:
    """How much of what a product of matrices reaches."""
    return f"{100 * row['mflop_per_row'] / ms / row['ceiling_gflops']:.0f} %" if row["mflop_per_row"] else "-"


def plain(name: str, **heads: str) -> list[str]:
    """A measurement whose rows hold what is shown: {field: its head}."""
    return table(heads.values(), ([str(row[field]) for field in heads] for row in read(name)["rows"]))


def simulation() -> list[str]:
    rows = read("simulation")["rows"]
    lines = [[row["way"], f"{row['fps']:.1f}", f"{row['ratio']:g}"] for row in rows]
    return table(["", "frames/s", "ratio to stock"], lines)


def rules() -> list[str]:
    """The shipped rules that have a page, as they describe themselves, with what they cost."""
    costs = {row["rule"]: row for row in read("rule-cost")["rows"]}
    lines = []
    for rule in _built_in():
        if rule.about is None or rule.about.basis is Basis.OWN:
            continue
        aliases = "".join(f" (`{alias}`)" for alias in rule.aliases)
        cost = costs.get(rule.name, {})
        one, five = _range(cost.get("low"), cost.get("high")), _range(cost.get("five"))
        page = f"[`{rule.name}`](policies/{rule.name}.md){aliases}"
        lines.append([page, rule.about.title, rule.about.paper, rule.exactness, one, five])
    return table(["Name", "Title", "Source", "How exact", "1 object", "5 objects"], lines)


def baselines() -> list[str]:
    """The shipped rules that nobody published."""
    lines = []
    for rule in _built_in():
        if rule.about is not None and rule.about.basis is Basis.OWN:
            parameters = " ".join(f"`{one.name}` = {one.default}. {one.meaning}" for one in rule.parameters)
            lines.append([f"`{rule.name}`", rule.summary, parameters])
    return table(["Name", "Rule", "Parameter"], lines)


def unseen(group: str = "default") -> list[str]:
    """Every policy on generated videos that nothing was trained on."""
    (own,) = (row for row in read("unseen")["rows"] if row["group"] == group)
    rows = sorted(own["policies"], key=lambda row: row["quality"])
    return table(
        ["Policy", "Videos", "Quality", "Difference to SAM 2", "`learned` beside it"],
        (
            [
                f"`{row['policy']}`",
                str(row["videos"]),
                percent(row["quality"]),
                _paired(row, "to_sam2"),
                _paired(row, "of_learned"),
            ]
            for row in rows
        ),
    )


def unseen_others() -> list[str]:
    """SAM 2, the best rules and the learned agent on other videos."""
    rows = []
    for own in read("unseen")["rows"]:
        for row in own["policies"] if own["group"] != "default" else ():
            name = f"{own['group']} ({own['videos']})"
            rows.append([name, f"`{row['policy']}`", percent(row["quality"]), _paired(row, "to_sam2")])
    return table(["Videos", "Policy", "Quality", "Difference to SAM 2"], rows)


def unseen_calibration() -> list[str]:
    """What was said beside what was true."""
    curves = read("unseen")["calibration"]
    return table(
        ["", "Said", "True", "Frames"],
        (
            [what, f"{row['said']:.2f}", f"{row['true']:.2f}", f"{row['frames']}"]
            for what, name in (("presence", "presence"), ("IoU", "quality"))
            for row in curves[name]
        ),
    )


def _gain_of_learned() -> str:
    (own,) = (row for row in read("unseen")["rows"] if row["group"] == "default")
    rows = {row["policy"]: row for row in own["policies"]}
    middle, low, high = (100 * value for value in rows["learned"]["to_sam2"])
    return f"{middle:.1f} points of Quality (95 % interval {low:.1f} to {high:.1f})"


def _paired(row: dict[str, Any], name: str) -> str:
    if name not in row:
        return "-"
    middle, low, high = (100 * value for value in row[name])
    return f"{signed(middle)} ({signed(low)} to {signed(high)})"


def _built_in() -> list[Rule]:
    return [find_rule(name) for name in BUILTIN]


CALLS = ("look", "open", "list", "create", "make folder", "rename", "delete")


def calls() -> list[str]:
    """What the file system is asked for each piece of work."""
    rows = read("many-machines")["rows"]
    lines = [[row["work"], *(str(row[call]) for call in CALLS), f"{row['bytes'] / 1e6:.2f} MB"] for row in rows]
    return table(["", *CALLS, "written"], lines)


def many_machines() -> list[str]:
    """The same in a second, where all workers of the example are at work, and what there is in the end."""
    about = read("many-machines")
    iteration, training, sequence, start, _ = about["rows"]
    videos, workers = about["assumed"]["videos"], about["assumed"]["workers"]
    left, share = about["left"], about["assumed"]["share"]

    def column(seconds: float, counts: Sequence[tuple[float, dict[str, Any]]], kind: str, records: int) -> list[str]:
        def total(*keys: str) -> float:
            return sum(times * row[key] for times, row in counts for key in keys)

        rate = workers / seconds
        hours = videos * seconds / workers / 3600
        return [
            f"{hours / 24:.0f} days" if hours > 48 else f"{hours:.1f} hours",
            f"{total('rename') * rate:.1f}",
            f"{total('create') * rate:.0f}",
            f"{total(*CALLS) * rate:.0f}",
            f"{total('bytes') * rate / 1e6:.1f}",
            f"{videos * left[f'{kind}_files'] + records:,}".replace(",", " "),
            f"{videos * left[f'{kind}_mb'] / 1000:.0f} GB",
        ]

    columns = [
        column(3600, [(150, iteration), (1, training)], "training", 0),
        column(120, [(18, iteration), (1, training)], "training", 0),
        column(10, [(1, sequence), (1 / share, start)], "evaluation", videos // share),
    ]
    heads = ["", "training, an hour each", "training, two minutes each", "evaluation, ten seconds each"]
    names = ["all of them", "renames per second", "files made per second", "calls per second", "MB per second"]
    names += ["files in the end", "disk in the end"]
    return table(heads, [[name, *cells] for name, *cells in zip(names, *columns, strict=True)])


def _plan_minutes() -> str:
    """How long `train` reads before it begins, where every call takes as long as assumed."""
    about = read("many-machines")
    planned = sum(about["rows"][-1][call] for call in CALLS)
    seconds = planned * about["assumed"]["videos"] * about["assumed"]["call_ms"] / 1000
    return f"{seconds / 60:.0f} minutes"


TABLES: dict[str, Callable[[], list[str]]] = {
    "real-videos": partial(trackers, "real-videos"),
    "real-videos-each": partial(trackers, "real-videos", sequences=True),
    "demo": partial(trackers, "demo"),
    "reference-videos": partial(trackers, "reference-videos", extra="Quality, with `nano`"),
    "benchmark-short": partial(methods, ()),
    "benchmark": partial(methods, ("Accuracy", "Robustness", "frames/s")),
    "benchmark-page": lambda: to_markdown(benchmark()).rstrip().split("\n"),
    "changed-videos": changed_videos,
    "full-budget": full_budget,
    "generated-64": generated,
    "generated-64-card": partial(generated, before=True),
    "mosam-64": mosam_parts,
    "mosam-earlier": lambda: _parts(read("mosam-earlier")["rows"]),
    "nano-goals": nano_goals,
    "rules": rules,
    "baselines": baselines,
    "speed": speed,
    "simulation": simulation,
    "profile-step-8": partial(profile, "profile-step", 8),
    "profile-step-32": partial(profile, "profile-step", 32),
    "profile-frame": partial(profile, "profile-frame"),
    "profile-sizes": profile_sizes,
    "training-profile": partial(plain, "training-profile", part="Part", share="Share of the time"),
    "lean-attention": partial(
        plain, "lean-attention", rows="Rows", before="Before, ms a row", now="After", ratio="Ratio"
    ),
    "kept-memory": partial(plain, "kept-memory", way="", ms="ms a prediction", faults="Page faults a prediction"),
    "bfloat16": partial(plain, "bfloat16", what="ms a row", float32="float32", bfloat16="bfloat16", ratio="Ratio"),
    "packed-products": partial(
        plain, "packed-products", rows="Rows", inner="in", outer="out", plain="MKL, GFLOP/s", packed="oneDNN, packed"
    ),
    "packed-attention": partial(
        plain, "packed-attention", of="Bank of", queries="Queries", keys="Keys", plain="MKL, ms", packed="oneDNN"
    ),
    "beams": partial(plain, "beams", way="Beam", quality="Quality", steps="Steps", predicted="States predicted"),
    "compiled": partial(
        plain, "compiled", dtype="", plain="As it is, ms a row", compiled="Compiled", faster="Faster by"
    ),
    "not-compiled": partial(plain, "not-compiled", idea="Idea", measured="Measured"),
    "not-built": partial(plain, "not-built", idea="Idea", measured="Measured", most="So at most"),
    "calls": calls,
    "many-machines": many_machines,
    "unseen": unseen,
    "unseen-others": unseen_others,
    "unseen-calibration": unseen_calibration,
}


# ----------------------------------------------------------------------------------------------------------- numbers


@cache
def numbers() -> dict[str, str]:
    """Every number that a sentence may name: the `facts` of docs/numbers/ as FILE.FACT, and those computed here."""
    found = {
        f"{path.stem}.{key}": str(value)
        for path in sorted((DOCS / "numbers").glob("*.json"))
        for key, value in read(path.stem).get("facts", {}).items()
    }
    document = benchmark()
    claims, rules = document["claims"], document["claims"]["heuristics"]
    times, low, high = rules["times"]
    stock, batched, memoised = read("simulation")["rows"][:3]
    several, long = row_of("speed", "objects", 5), row_of("speed", "frames", 2001)
    seeds = {name: list(qualities.values()) for name, qualities in document["seeds"].items()}
    videos = document["videos"]
    seed_gains = [mean(100 * (seeds[name][k] - videos[name]["SAM2"]) for name in seeds) for k in range(3)]
    best_gain = mean(100 * (max(seeds[name]) - videos[name]["SAM2"]) for name in seeds)
    full_gain = mean(
        100 * (float(full["best_greedy"]) - videos[name]["SAM2RL"]) for name, full in full_trainings().items()
    )
    sam2 = row_of("real-videos", "tracker", "SAM2")
    now, before = sam2["sequences"], sam2["before"]
    costs = {row["rule"]: row for row in read("rule-cost")["rows"]}
    others = [row for rule, row in costs.items() if rule != "recency"]
    found |= {
        "many-machines.plan_minutes": _plan_minutes(),
        **_profile_numbers(),
        "unseen.gain": _gain_of_learned(),
        "nano.parameters": f"{_nano_parameters() / 1e6:.2f} M",
        "benchmark.seed_gains": "{:.1f}, {:.1f} and {:.1f} points".format(*seed_gains),
        "benchmark.best_seed_gain": f"{best_gain:.1f}",
        "full-budget.more": f"{full_gain:.1f} points",
        "real-videos.before": f"{before['quality']}: {', '.join(f'{key} {before[key]}' for key in SEQUENCES)}",
        "real-videos.card": ", ".join(
            f"{key} {fraction(now[key] / 100)} ({fraction(before[key] / 100)})" for key in SEQUENCES
        ),
        "rule-cost.all": _range(min(row["low"] for row in others), max(row["high"] for row in others)),
        **{f"rule-cost.{rule}": _range(row["low"], row["high"]) for rule, row in costs.items()},
        **{f"rule-cost.{rule}_five": _range(row["five"]) for rule, row in costs.items() if "five" in row},
        "benchmark.times": f"{times:.1f} times (95 % interval {low:.1f} to {high:.1f})",
        "benchmark.excess": _mean_and_span(rules["excess"]),
        "benchmark.searched": signed(100 * claims["searched_gain"][0]),
        **{f"benchmark.{key}": signed(100 * document["methods"][key]["gain"]) for key in ("random", "greedy", "beam")},
        "benchmark.less_beam": _mean_and_span(claims["against"]["beam"]),
        "benchmark.share": f"{100 * claims['share_of_best']:.0f} %",
        "benchmark.share_excess": _mean_and_span(claims["share_excess"]),
        "benchmark.jpeg": f"{100 * document['transfer']['jpeg']['kept']:.0f} %",
        "benchmark.seeds": ", ".join(fraction(max(found) - min(found)) for found in seeds.values()),
        "real-videos.sam2": f"{row_of('real-videos', 'tracker', 'SAM2')['quality']:.0f} %",
        "generated-64.recency": fraction(row_of("generated-64", "rule", "recency")["quality"]),
        "simulation.stock": f"{stock['fps']}",
        "simulation.batched": f"{batched['fps']}",
        "simulation.memoised": f"{memoised['fps']:.0f}",
        "simulation.times": f"{memoised['ratio']:.0f}",
        "speed.five": f"{several['ratio']:.2f}",
        "speed.growth": f"{long['growth']} MB",
        "speed.stock_growth": f"{long['stock_growth']} MB",
        "speed.late": f"{long['late']:.2f}",
    }
    return found


def _profile_numbers() -> dict[str, str]:
    parts = [row for row in read("profile-step")["rows"] if row["rows"] == 32 and "share" in row]
    ceiling = parts[0]["ceiling_gflops"]
    return {
        "profile-step.ceiling": f"{ceiling:.0f} GFLOP/s",
        "profile-step.step_32": f"{sum(row['ms_per_row'] for row in parts):.2f} ms",
        "profile-step.least_32": f"{sum(row['mflop_per_row'] for row in parts) / ceiling:.2f} ms",
    }


def _nano_parameters() -> int:
    with safe_open(CARD.parent / "model.safetensors", "numpy") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118  (it is no dict)


def _range(low: float | None, high: float | None = None) -> str:
    """Two numbers with two digits, one or none; a plain 1 for what is 1 by definition."""
    values = dict.fromkeys("1" if value == 1 else f"{value:.2f}" for value in (low, high) if value is not None)
    return " to ".join(values)


def _mean_and_span(values: Sequence[float]) -> str:
    return f"{signed(100 * values[0])} points ({span(values[1], values[2])})"


if __name__ == "__main__":
    sys.exit(main())
