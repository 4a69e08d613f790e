"""The result files that the real toolkit wrote: what is missing, and what stands beside them."""

from sam2rl_tracker.vot.results import find_failure, made_with


def test_a_tracker_that_dies_is_reported(evaluated):
    failure = evaluated.failures["Dies"]
    assert failure.sequence == "single"
    assert "the memory bank caught fire" in failure.reason
    assert "2 of 2 sequences" in failure.reason
    again = find_failure(evaluated.workspace, "Dies")
    assert again == failure


def test_a_tracker_that_never_connects_is_reported(evaluated):
    failure = evaluated.failures["Refuses"]
    assert "Unable to connect" in failure.reason
    assert "scripted_tracker" in failure.reason  # the command to run by hand


def test_damaged_and_short_results_are_reported(evaluated):
    file = evaluated.workspace.folder / "results" / "Mixed" / "baseline" / "several" / "several_4_001.bin"
    data = file.read_bytes()
    try:
        file.write_bytes(data[:-3])
        assert "damaged" in find_failure(evaluated.workspace, "Mixed").reason
        file.unlink()
        file.with_suffix(".txt").write_text("1\n0,0,0,0\n")
        failure = find_failure(evaluated.workspace, "Mixed")
        assert (failure.sequence, "object 4 has 2 frames of 12" in failure.reason) == ("several", True)
    finally:
        file.with_suffix(".txt").unlink(missing_ok=True)
        file.write_bytes(data)


def test_properties_are_stored_beside_the_results(evaluated):
    folder = evaluated.workspace.folder / "results" / "SAM2" / "baseline"

    def lines(name: str) -> list[str]:
        return (folder / name).read_text().splitlines()

    assert lines("single/single_001_memory_frames.value")[:4] == ["", "0", "0 1", "0 1 2"]
    assert all(0 <= float(line) <= 1 for line in lines("single/single_001_predicted_iou.value"))
    assert len(lines("single/single_001_object_score.value")) == 30
    (made,) = made_with(evaluated.workspace, "SAM2")
    assert set(lines("single/single_001_made_with.value")) - {""} == {made}
    assert made_with(evaluated.workspace, "Mixed") == []  # a tracker of another project
    late = lines("several/several_9_001_memory_frames.value")  # given on frame 3
    assert late[:6] == ["", "", "", "", "3", "3 4"]
