"""The registered trackers, and which of them saw the truth."""

import configparser
from pathlib import Path

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.evaluation.methods import TITLES, TRACKERS, title
from sam2rl_tracker.vot.registry import namesakes, registered, registered_trackers, that_saw_truth
from sam2rl_tracker.vot.workspace import create


def test_what_runs_trained_agents_is_known_by_its_command(tmp_path):
    workspace = create(tmp_path / "w")
    with (workspace.folder / "trackers.ini").open("a") as file:
        for name, policy in (
            ("Mine", "sam2rl:agents=x"),
            ("Yours", "sam2long"),
            ("SAM2RL-H", "learned:agent=/x.safetensors"),
            ("SAM2RL-I", "sam2rl"),
        ):
            file.write(f'\n[{name}]\nprotocol = traxpython\ncommand = import x; x.main(policy="{policy}")\n')
    names = ("SAM2", "SAM2RL", "SAM2RL@two", "Mine", "Mine@large", "Yours", "Unknown")
    learned = ("SAM2RL-G", "SAM2RL-G@two", "SAM2RL-H", "SAM2RL-I")
    assert that_saw_truth(workspace, (*names, *learned)) == {"SAM2RL", "SAM2RL@two", "Mine", "Mine@large", "SAM2RL-I"}


def test_registries_of_both_formats(tmp_path, monkeypatch):
    workspace = create(tmp_path / "w")
    more = tmp_path / "more.yaml"
    more.write_text("Mine:\n  protocol: traxpython\n  command: import x; x.main(policy='never')\nBare:\n")
    monkeypatch.setenv("VOT_REGISTRY", str(more))
    known = registered_trackers(workspace)
    assert {"SAM2", "SAM2RL", "Mine", "Bare"} <= known.keys()
    assert (known["SAM2"].policy, known["Mine"].policy, known["Bare"].policy) == ("recency", "never", None)
    assert registered(known, "Mine@tag") == known["Mine"]
    assert registered(known, "Nobody") is None
    more.write_text("- what\n")
    with pytest.raises(Sam2rlError, match=r"more\.yaml is damaged"):
        registered_trackers(workspace)


def test_titles_are_the_labels_of_the_registry() -> None:
    registry = configparser.ConfigParser()
    registry.read(Path(__file__).parents[2] / "trackers.ini")
    labels = {name: registry[name]["label"] for name in registry.sections()}
    assert list(labels) == list(TRACKERS)
    assert {name: labels[name] for name in TITLES} == TITLES
    assert title("HiM2SAM@cuda") == "HiM2SAM without point tracking@cuda"
    assert title("Mine") == "Mine"


def test_a_tracker_that_only_has_the_name_of_one_of_ours_keeps_it(tmp_path):
    """`SAM3` may be the model SAM 3: our title would say something else of it."""
    workspace = create(tmp_path / "w")
    (workspace.folder / "trackers.ini").write_text(
        "[SAM3]\ncommand = import mine\n[MoSAM]\ncommand = x(policy='mosam:dense=true')\n[SAM2]\ncommand = import it"
    )
    others = namesakes(workspace, ["SAM2", "SAM3", "SAM3@cuda", "MoSAM", "HiM2SAM"])
    assert others == {"SAM3", "SAM3@cuda"}
    assert [title(name, others) for name in ("SAM3@cuda", "MoSAM")] == ["SAM3@cuda", "MoSAM-style"]
