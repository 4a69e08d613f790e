"""The curves that a workspace keeps."""

from sam2rl_tracker.vot.trainings import read_searches, read_trainings


def test_what_is_legible_is_read(made, tmp_path):
    (training,) = read_trainings(made.workspace.folder)
    assert (training.subject, training.seed, training.name) == ("one_1", 0, "one, object 1, seed 0")
    assert training.curve("mean") == [(100, 0.5), (200, 0.6)]
    (search,) = read_searches(made.workspace.folder)  # the other is damaged
    assert (search.subject, search.sam2, list(search.curves)) == ("one_1", 0.4, ["random", "greedy", "beam"])
    assert read_trainings(tmp_path) == read_searches(tmp_path) == []


def test_settings_and_damage(tmp_path):
    for name, table, settings in (
        ("a_1_seed3", "iteration,iterations,steps,mean\n1,4,10,0.5\n", '{"subject": "a", "hidden": 16}'),
        ("b_2_seed0", "iteration,steps,mean\n1,10,0.5\n", "damaged"),
        ("c_1_seed0", "iteration,other\n1,10\n", "{}"),
        ("d_1_seed0", "", "{}"),
    ):
        folder = tmp_path / "training" / name
        folder.mkdir(parents=True)
        (folder / "progress.csv").write_text(table)
        (folder / "settings.json").write_text(settings)
    first, second = read_trainings(tmp_path)
    assert (first.subject, first.seed, first.settings) == ("a_1", 3, {"hidden": 16, "iterations": 4})
    assert (second.subject, second.settings) == ("b_2", {})
