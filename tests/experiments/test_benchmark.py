"""The benchmark: a small one end to end, resumed, and what its document says of made-up numbers."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from reference import DATA

from sam2rl_tracker.agents.files import load_agent, save_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.benchmark import Claims
from sam2rl_tracker.evaluation.methods import BASELINES, LEARNED, SEARCHES, TRACKERS
from sam2rl_tracker.experiments.benchmark import Plan, run, run_benchmark
from sam2rl_tracker.experiments.benchmark.parts import Parts
from sam2rl_tracker.experiments.claims import difference, judge, survival
from sam2rl_tracker.experiments.transfer import Transfer
from sam2rl_tracker.report import benchmark_tables
from sam2rl_tracker.runs.executors import HERE
from sam2rl_tracker.runs.provenance import processor
from sam2rl_tracker.training.settings import Settings

TINY = Plan(
    count=3,
    frames=12,
    seed=11,
    settings=Settings(iterations=2, samples=40, hidden=16, batch_size=20, beam=1, local=40),
    seeds=2,
    subset=1,
    searched=1,
    trackers=("SAM2", "SAMURAI", "SAM2RL"),
)


@pytest.mark.slow
def test_a_small_benchmark_is_interrupted_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "B"

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Parts, "search", stop)
        with pytest.raises(KeyboardInterrupt):
            run_benchmark(folder, replace(TINY, count=2))
    kept = {path: path.stat().st_mtime_ns for path in (folder / "benchmark").glob("train-*.json")}
    assert len(kept) == 3  # two videos, and a second seed on one of them
    with pytest.raises(Sam2rlError, match="was begun with seed=11, not 12: give the same"):
        run_benchmark(folder, replace(TINY, seed=12))
    with pytest.raises(Sam2rlError, match="was begun with --set hidden=16, not 8: give the same"):
        run_benchmark(folder, replace(TINY, settings=replace(TINY.settings, hidden=8)))

    document = run_benchmark(folder, TINY, jobs=2).as_json()  # one more video
    with pytest.raises(Sam2rlError, match="was begun with 3 videos: give --count 3 or more"):
        run_benchmark(folder, replace(TINY, count=2))
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert json.loads((folder / "benchmark.json").read_text()) == json.loads(json.dumps(document))
    assert set(document["methods"]) == {*TINY.trackers, *SEARCHES, *BASELINES, "best found"}
    assert {key for key, row in document["methods"].items() if not row["sees_truth"]} == {
        "SAM2",
        "SAMURAI",
        *BASELINES,
    }
    for name, row in document["videos"].items():
        # The agent's quality inside `vot evaluate` is the one that its training replayed.
        trained = json.loads((folder / "benchmark" / f"train-{name}-0.json").read_text())
        assert row["SAM2RL"] == pytest.approx(trained["quality"], abs=1e-4)
        if name != "scene-00011":
            assert not {*SEARCHES, "best found"} & set(row)
            continue
        assert row["best found"] == pytest.approx(max(row.values()))
        searched = json.loads((folder / "benchmark" / f"search-{name}.json").read_text())
        assert row["beam"] == searched["replayed"]["beam"] == pytest.approx(searched["beam"], abs=0.02)
        assert searched["steps"] == trained["steps"]
        for key in ("random", "beam", "local"):
            assert searched["spent"][key] <= trained["steps"]
    for agents in (folder / "agents", folder / "benchmark" / "agents"):
        assert len(list(agents.glob("*.safetensors"))) == 3  # the second seed's agent stays in its training's folder
    original = document["transfer"]["original"]
    assert original["agent"] == pytest.approx(document["methods"]["SAM2RL"]["quality"], abs=1e-4)
    assert original["kept"] is None  # of three videos nothing is known for sure
    assert document["methods"]["SAM2"]["fps"] > 0
    assert document["methods"]["SAM2RL"]["accuracy_gain"][0] == pytest.approx(
        document["trackers"]["SAM2RL"]["accuracy"] - document["trackers"]["SAM2"]["accuracy"], abs=1e-4
    )
    settings = document["settings"]
    assert set(settings["hashes"]) == set(document["videos"])
    assert all(seconds > 0 for seconds in settings["seconds"].values())
    text = (folder / "benchmark.md").read_text()
    assert f"model nano ({settings['model_hash']})" in text
    assert f"torch {version('torch')}" in text
    assert "trained by behaviour cloning on its best rollout" in text
    with (folder / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * len(document["methods"]) - 2 * 5  # searches, and the best found, on one video
    claims = document["claims"]
    assert (claims["videos"], claims["searched"]) == (3, 1)
    (first, *_) = document["videos"].values()
    assert claims["searched_gain"][0] == pytest.approx(first["SAM2RL"] - first["SAM2"])
    assert claims["best_gain"][0] == pytest.approx(first["best found"] - first["SAM2"])
    assert document["methods"]["beam"]["quality"] == pytest.approx(first["beam"])
    steps = document["steps"]["scene-00011"]
    assert (
        f"| {100 * first['SAM2RL']:.1f} | {100 * claims['searched_gain'][0]:+.1f} | - | {steps['SAM2RL']:,} |" in text
    )
    assert text.count("| SAM2RL (trained on the ground truth it is scored on) |") == 2
    assert text.count("| beam search (sees the ground truth it is scored on) |") == 1
    assert "| SAM2RL (trained on this truth) |" in text  # heads a column of the videos' table
    assert "| beam search (sees this truth) |" in text
    assert (folder / "benchmark-gains.png").stat().st_size > 1000
    assert (folder / "benchmark-steps.pdf").read_bytes().startswith(b"%PDF")

    times = next((folder / "results" / "SAMURAI").rglob("*_time.value"))  # as a kill leaves it
    times.unlink()
    again = run_benchmark(folder, TINY).as_json()
    assert times.is_file()
    assert again["videos"] == document["videos"]
    assert again["settings"]["made_on"] == [f"{processor()}, {jobs} jobs" for jobs in (1, 2)]

    training = folder / "training" / "scene-00011_1_seed0"
    shutil.rmtree(training)  # what is gone is made again
    assert run_benchmark(folder, TINY).videos == document["videos"]
    (agent,) = training.glob("*.safetensors")
    trained = load_agent(agent)
    save_agent(replace(trained, record={**trained.record, "quality": 0.99}), training)
    with pytest.raises(Sam2rlError, match=r"scene-00011_1_seed0.* was trained again after the benchmark: delete"):
        run_benchmark(folder, TINY)
    save_agent(trained, training)
    said = next((folder / "results" / "SAM2").rglob("*_made_with.value"))
    said.write_text(said.read_text().replace("nano", "other"))
    with pytest.raises(Sam2rlError, match=r"SAM2's results were made with nano .*; other .*, expected nano .*: delete"):
        run_benchmark(folder, TINY)
    with (folder / "sequences" / "list.txt").open("a") as listed:
        listed.write("mine\n")
    with pytest.raises(Sam2rlError, match="that the benchmark did not make, mine"):
        run_benchmark(folder, TINY)


@pytest.mark.slow
def test_trackers_are_added_without_agents(tmp_path: Path) -> None:
    folder, plan = tmp_path / "B", replace(TINY, count=1, trackers=("SAM2",))
    with pytest.raises(
        Sam2rlError, match=r"MINE is not a tracker of .*, expected one of D4SM, DAM4SAM, .*: choose one or"
    ):
        run_benchmark(folder, replace(plan, trackers=("SAM2", "MINE")))
    first = run_benchmark(folder, plan)
    assert first.claims is None
    assert first.steps == first.seeds == first.transfer == first.curves == {}
    assert not any(row.sees_truth for row in first.methods.values())
    assert not list(folder.glob("training")) + list(folder.glob("benchmark-steps.*"))
    text = (folder / "benchmark.md").read_text()
    assert text.count("\n## ") == 2  # behind the first title: every video, and how it was made
    assert "agents" not in text.partition("## How")[2]
    assert benchmark_tables.to_markdown(json.loads((folder / "benchmark.json").read_text())) == text

    with (folder / "trackers.ini").open("a") as registry:  # a rule of one's own
        registry.write("[MINE]\nprotocol = traxpython\n")
        registry.write('command = import sam2rl_tracker.vot as vot; vot.main(policy="stride:stride=2")\n')
    kept = {path: path.stat().st_mtime_ns for path in (folder / "results").rglob("*.value")}
    both = run_benchmark(folder, replace(plan, trackers=("MINE",)), executor=HERE)  # in shares of the sequences
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    assert [key for key in both.methods if key not in BASELINES] == ["SAM2", "MINE"]
    assert both.settings["trackers"] == ("SAM2", "MINE")
    assert both.videos["scene-00011"].items() >= first.videos["scene-00011"].items()
    assert both.methods["MINE"].fps


def test_the_folder_must_be_new_or_a_benchmark(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(Sam2rlError, match="is not empty"):
        run_benchmark(tmp_path, TINY)


def test_a_plan_that_cannot_work_is_told_at_once(tmp_path: Path) -> None:
    for change, sentence in [
        ({"frames": 4}, "too short"),
        ({"preset": "typo"}, "typo"),
        ({"searched": 0}, "on one video at least"),
        ({"model": "typo"}, "typo"),
        ({"control_steps": 39}, "--control-steps 40 at least"),
        ({"settings": replace(TINY.settings, samples=39)}, "--set samples=40 at least"),
    ]:
        with pytest.raises(Sam2rlError, match=sentence):
            run_benchmark(tmp_path / "B", replace(TINY, **change))
    assert not (tmp_path / "B").exists()


def claims_of(agent: float, rule: float, count: int = 20) -> dict[str, Any]:
    gains = {"stride": np.full(count, 0.01), "never": np.full(count, -0.01)}
    gains |= {"SAM2RL": agent + np.linspace(-0.1, 0.1, count), "SAMURAI": np.full(count, -0.02)}
    rest = {"DAM4SAM": np.full(count, rule), "random": np.full(count, 0.2), "best found": np.full(count, 0.4)}
    return judge({**gains, **rest}).as_json()


def text_of(claims: dict[str, Any]) -> str:
    document: Any = SimpleNamespace(methods={"SAM2RL": SimpleNamespace(control=None)}, fallbacks=None)
    return "\n".join(benchmark_tables._sentences(document, Claims.from_json(claims)))


@pytest.mark.parametrize(
    ("agent", "holds"), [(0.3, "holds"), (0.05, "does not hold"), (0.16, "is not decided by these videos")]
)
def test_claims_are_judged_by_their_intervals(agent: float, holds: str) -> None:
    claims = claims_of(agent, 0.05)
    assert claims["heuristics"]["best"] == "DAM4SAM"
    assert claims["controls"]["best"] == "stride"
    assert claims["controls"]["times"][0] == pytest.approx(agent / 0.01)
    ratio, low, high = claims["heuristics"]["times"]
    assert ratio == pytest.approx(agent / 0.05)
    assert low == pytest.approx(claims["agent_gain"][1] / 0.05)
    assert high == pytest.approx(claims["agent_gain"][2] / 0.05)
    assert claims["against"]["random"][0] == pytest.approx(agent - 0.2)
    assert claims["share_of_best"] == pytest.approx(agent / 0.4)
    assert f"more than 3 times as much {holds} (" in text_of(claims)
    assert f"The agents gain {ratio:.1f} times as much ({low:.1f} to {high:.1f})." in text_of(claims)


def test_what_cannot_be_claimed() -> None:
    text = text_of(claims_of(-0.01, -0.02))  # more than three times a loss is no feat
    assert "The best published rule here is SAMURAI: -2.0 (-2.0 to -2.0).\nIt gains nothing" in text
    assert "The agents gain -1.0 (" in text
    few = text_of(claims_of(0.3, 0.05, count=5))
    assert "more than 3 times as much cannot be told from so few videos (their gain" in few
    assert "6.0 times" not in few
    assert "The agents gain +30.0 points over SAM 2." in few


def test_a_rule_that_may_gain_nothing_has_no_multiple() -> None:
    rule = np.linspace(-0.2, 0.21, 20)
    claims = judge({"SAM2RL": np.full(20, 0.3), "SAMURAI": rule, "best found": np.full(20, 0.4)}).as_json()
    assert claims["heuristics"]["times"][0] == pytest.approx(60)
    assert claims["heuristics"]["times"][1:] == (None, None)
    assert "60.0" not in text_of(claims)
    assert "more than 3 times as much holds" in text_of(claims)


def test_a_rule_written_from_an_abstract_is_not_the_best_published_one() -> None:
    gains = {"SAM2RL": np.full(9, 0.3), "SAMURAI": np.full(9, 0.1), "MoSAM": np.full(9, 0.2), "best found": np.ones(9)}
    rule = judge(gains).heuristics
    assert rule is not None
    assert rule.best == "SAMURAI"


def test_what_survives_on_changed_videos() -> None:
    rows = {str(k): {"original": Transfer(0.4, 0.6), "jpeg": Transfer(0.3, 0.4)} for k in range(8)}
    table = survival({"original": "as it was", "jpeg": "compressed"}, rows)
    assert table["original"].kept == pytest.approx(1)
    assert table["jpeg"].kept == pytest.approx(0.5)
    assert table["jpeg"].gain == table["jpeg"].low == pytest.approx(0.1)
    rows["7"]["original"] = Transfer(0.4, -3.0)  # now the gain may be none, and what is left of it says nothing
    assert survival({"original": "as it was"}, rows)["original"].kept is None


def test_differences_are_of_the_videos_where_both_are_defined() -> None:
    values = [(0.5, 0.4), (None, 0.4), (0.9, None), (0.7, 0.4)]
    sequences = {str(k): {"A": {"robustness": a}, "SAM2": {"robustness": b}} for k, (a, b) in enumerate(values)}
    assert difference(sequences, "A", "robustness") == (pytest.approx(0.2), None, None)
    assert difference({"0": sequences["1"]}, "A", "robustness") is None
    assert difference(sequences, "beam", "robustness") is None


def test_a_model_without_an_agent_for_any_video_is_told_before_any_work(
    tmp_path: Path, nano: Model, reference_model: Model
) -> None:
    """By default the tracker is left out; who asks for it learns at once that there is none."""
    assert set(TRACKERS) - set(run._trackers_for(reference_model)) == {LEARNED}
    assert run._trackers_for(nano) == TRACKERS
    plan = Plan(count=1, frames=5, model=str(DATA / "model"), trackers=("SAM2", LEARNED))
    with pytest.raises(Sam2rlError, match="is shipped: learn one"):
        run_benchmark(tmp_path / "B", plan)
    assert not list((tmp_path / "B" / "sequences").glob("scene-*"))
