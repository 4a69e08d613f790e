"""`sam2rl track`: what it writes, and one sentence with a non-zero exit for each mistake."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from commands import Run
from PIL import Image, ImageFilter
from reference import DATA, Video

from sam2rl_tracker import Tracker
from sam2rl_tracker.engine import Model
from sam2rl_tracker.synthetic import generate_scene

FRAMES = 6


@pytest.fixture
def clip(tmp_path: Path, video: Video) -> Path:
    """A folder with frames 8.png to 13.png, and beside it the index mask of its first frame: object 3."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index, image in enumerate(video.images[:FRAMES]):
        Image.fromarray(image).save(folder / f"{index + 8}.png")
    Image.fromarray(video.truth[0].astype(np.uint8) * 3).save(tmp_path / "init.png")
    return folder


def test_track_writes_masks_overlay_and_trace(run: Run, clip: Path, video: Video, nano: Model) -> None:
    arguments = ("--policy", "samurai", "--overlay", "o.mp4", "--trace", "t.jsonl", "--device", "cpu", "--json")
    status, printed, said = run("track", clip, "--init", "init.png", "--out", "masks", *arguments)
    assert status == 0, said
    summary = json.loads(printed)
    assert (summary["frames"], summary["objects"], summary["masks"]) == (FRAMES, [3], "masks")
    assert 0 < summary["network_seconds"] < summary["seconds"]
    assert summary["network_share"] == pytest.approx(summary["network_seconds"] / summary["seconds"], abs=0.001)
    told = re.search(r"6 frames, 1 object, ([\d.]+) fps \((\d+)% of the time the network's\): masks in masks", said)
    assert told, said
    assert float(told[1]) == pytest.approx(summary["fps"], abs=0.11)  # both are rounded
    assert int(told[2]) == pytest.approx(100 * summary["network_share"], abs=1)
    tracker = Tracker(nano, "samurai", num_frames=FRAMES)
    expected = [tracker.initialize(video.images[0], video.truth[:1])[0]]
    expected += [tracker.track(image)[0] for image in video.images[1:FRAMES]]
    for index, mask in enumerate(expected):
        labels = np.asarray(Image.open(f"masks/{index + 8}.png"))
        assert np.array_equal(labels, mask * 3)
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["object"]) for line in lines] == [(t, 3) for t in range(FRAMES)]
    assert lines[-1]["memories"][0] == [0, 6]
    with av.open("o.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_track_exact_is_the_trackers_exact_mode(run: Run, clip: Path, video: Video, nano: Model) -> None:
    """To the pixel, and to the bits that the trace shows; two objects, which would share a batch otherwise."""
    labels = video.truth[0].astype(np.uint8)
    labels[np.roll(video.truth[0], 40, axis=1) & ~video.truth[0]] = 2
    Image.fromarray(labels).save("init.png")
    arguments = ("--policy", "samurai", "--trace", "t.jsonl", "--device", "cpu", "--exact")
    status, _, said = run("track", clip, "--init", "init.png", "--out", "masks", *arguments)
    assert status == 0, said
    tracker = Tracker(nano, "samurai", exact=True, non_overlap=True, num_frames=FRAMES)
    expected = [tracker.initialize(video.images[0], np.stack([labels == 1, labels == 2]))]
    trace = tracker.trace()
    for image in video.images[1:FRAMES]:
        expected.append(tracker.track(image))
        trace += tracker.trace()
    for index, (first, second) in enumerate(expected):
        assert np.array_equal(np.asarray(Image.open(f"masks/{index + 8}.png")), first + 2 * second)
    assert [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()] == trace


def test_track_says_what_it_computed_in(run: Run, clip: Path) -> None:
    track = ("track", clip, "--init", "init.png", "--out", "masks", "--device", "cpu", "--dtype", "bfloat16", "--json")
    status, printed, said = run(*track)
    assert status == 0, said
    summary = json.loads(printed)
    assert (summary["dtype"], summary["compile"]) == ("bfloat16", False)
    status, _, said = run(*track, "--exact")
    assert (status, "Exact mode computes in float32 and uncompiled: leave out exact" in said) == (2, True)


def test_track_writes_the_last_word(run: Run, clip: Path, video: Video, nano: Model) -> None:
    """A policy that looks back: masks, overlay and trace are those of the end, also of a video that breaks off."""
    spec = "sam2long:uncertainty=1000,output=2"
    tracker = Tracker(nano, spec, num_frames=FRAMES)
    live = [tracker.initialize(video.images[0], video.truth[:1])[0]]
    live += [tracker.track(image)[0] for image in video.images[1 : FRAMES - 1]]
    expected = [live[0], *(mask for (mask,), _ in tracker.revise())]
    assert not np.array_equal(expected, live), "the last word is the first one: this test shows nothing"

    (clip / f"{FRAMES + 7}.png").write_bytes(b"broken")
    arguments = ("--policy", spec, "--overlay", "o.mp4", "--trace", "t.jsonl", "--device", "cpu")
    status, _, said = run("track", clip, "--init", "init.png", "--out", "masks", *arguments)
    assert status == 2
    assert f"The masks of the {FRAMES - 1} frames before it are in masks" in said
    found = [np.asarray(Image.open(f"masks/{t + 8}.png")) == 3 for t in range(FRAMES - 1)]
    assert np.array_equal(found, expected)
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["area"]) for line in lines] == [(t, mask.sum()) for t, mask in enumerate(expected)]
    with av.open("o.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == FRAMES - 1

    (clip / f"{FRAMES + 7}.png").unlink()
    status, _, said = run("track", clip, "--init", "init.png", "--out", "masks", *arguments)
    assert status == 0, said
    assert "masks in masks (chosen over the whole video), o.mp4" in said


def test_track_by_boxes(run: Run, clip: Path) -> None:
    status, _, said = run("track", clip, "--box", "20,20,60,60", "--box", "50,60,40,40", "--out", "masks")
    assert status == 0, said
    assert "2 objects" in said
    assert set(np.unique(np.asarray(Image.open("masks/8.png")))) <= {0, 1, 2}


def test_a_correction_brings_a_lost_object_back(run: Run) -> None:
    """It shrinks away behind an occlusion. One mask, drawn on a later frame, is enough."""
    scene = generate_scene(seed=104, frames=50, preset="easy")
    truth = scene.labels == 1
    Path("clip").mkdir()
    for t, image in enumerate(scene.images[:31]):
        Image.fromarray(image).save(f"clip/{t}.png")
    for t in (0, 22):
        Image.fromarray(truth[t].astype(np.uint8)).save(f"at-{t}.png")
    common = ("--init", "at-0.png", "--model", DATA / "model", "--device", "cpu")

    def quality(folder: str) -> float:
        """Mean IoU on the frames behind the correction."""
        found = [np.asarray(Image.open(f"{folder}/{t}.png")) == 1 for t in range(23, 31)]
        return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in zip(found, truth[23:31], strict=True)]))

    status, _, said = run("track", "clip", *common, "--out", "plain")
    assert status == 0, said
    status, _, said = run("track", "clip", *common, "--out", "corrected", "--init", "at-22.png@22")
    assert status == 0, said
    assert "object 1 corrected on frame 22" in said
    assert quality("plain") < 0.4
    assert quality("corrected") > quality("plain") + 0.2


def test_prompts_of_all_kinds(run: Run, clip: Path, video: Video) -> None:
    """Options and a file; numbers count from 0, whatever the frames are called, and a path may hold an @."""
    Path("init.png").rename("in@it.png")
    prompts = [
        {"frame": 2, "object": 5, "points": [[30, 30], [90, 110, 0]]},
        {"frame": 3, "object": 3, "mask": "in@it.png"},
        {"frame": 4, "object": 5, "remove": True},
    ]
    Path("prompts.json").write_text(json.dumps(prompts))
    options = (
        "--init",
        "in@it.png@1",
        "--box",
        "20,20,60,60,object=7@2",
        "--remove",
        "7@5",
        "--point",
        "25,25,object=7@3",
    )
    files = ("--prompts", "prompts.json", "--out", "masks", "--trace", "t.jsonl", "--overlay", "o.mp4")
    status, _, said = run("track", clip, *options, *files)
    assert status == 0, said
    assert "6 frames, 3 objects" in said
    assert "object 3 added on frame 1, object 5 added on frame 2, object 7 added on frame 2" in said
    assert "object 5 removed on frame 4, object 7 removed on frame 5" in said
    assert not np.asarray(Image.open("masks/8.png")).any()
    assert (np.asarray(Image.open("masks/9.png")) == 3 * video.truth[0]).all()
    lines = [json.loads(line) for line in Path("t.jsonl").read_text().splitlines()]
    objects = {t: sorted(line["object"] for line in lines if line["frame"] == t) for t in range(FRAMES)}
    assert objects == {0: [], 1: [3], 2: [3, 5, 7], 3: [3, 5, 7], 4: [3, 7], 5: [3]}
    assert sorted((line["frame"], line["object"]) for line in lines if line["prompt"] == "correction") == [
        (3, 3),
        (3, 7),
    ]


def test_a_prompt_that_was_never_reached(run: Run, clip: Path) -> None:
    """Of a video that does not say how long it is: it is tracked, and the exit status says that something lacks."""
    with av.open("film.mkv", "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        stream.height, stream.width, stream.pix_fmt = 128, 128, "bgr0"
        for t in range(8, 12):
            image = np.asarray(Image.open(clip / f"{t}.png"))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    status, out, said = run("track", "film.mkv", "--init", "init.png", "--point", "30,30@9", "--out", "masks")
    assert (status, out) == (1, "")
    assert "error: Tracking ended with frame 3: object 3 was not corrected on frame 9, which never came." in said
    assert len(list(Path("masks").glob("*.png"))) == 4
    status, _, said = run("track", "film.mkv", "--init", "init.png", "--start", 7, "--out", "masks")
    assert status == 2
    assert "film.mkv has no frame 7, counted from 0" in said


def test_notes_are_said_before_an_error(run: Run, clip: Path, video: Video) -> None:
    soft = np.asarray(Image.fromarray(video.truth[0].astype(np.uint8) * 255).filter(ImageFilter.GaussianBlur(2)))
    Image.fromarray(soft).save("init.png")
    (clip / "11.png").write_bytes(b"broken")
    status, _, said = run("track", clip, "--init", "init.png", "--out", "masks")
    assert status == 2
    assert re.search("init.png: it has shades of gray .* error: .*11.png is not an image", said)


def test_objects_too_small_for_the_model_are_named(run: Run, clip: Path) -> None:
    labels = np.zeros((128, 128), dtype=np.uint8)
    labels[40:80, 40:80], labels[10:13, 10:15], labels[100:104, 100:104] = 1, 2, 3
    Image.fromarray(labels).save("init.png")
    status, _, said = run("track", clip, "--init", "init.png", "--out", "masks")
    assert status == 0, said
    assert "object 2: less than 4 x 4 of the 128 x 128 pixels that nano sees" in said


def test_what_was_tracked_before_a_bad_frame_is_kept(run: Run, clip: Path) -> None:
    (clip / "11.png").write_bytes(b"broken")
    arguments = ("--init", "init.png", "--out", "masks", "--overlay", "o.mp4", "--trace", "t.jsonl")
    status, _, said = run("track", clip, *arguments)
    assert status == 2
    assert "11.png is not an image" in said
    assert "The masks of the 3 frames before it are in masks" in said
    assert sorted(path.name for path in Path("masks").glob("*.png")) == ["10.png", "8.png", "9.png"]
    assert len(Path("t.jsonl").read_text().splitlines()) == 3
    assert Path("o.mp4").stat().st_size > 0


@pytest.mark.slow
def test_a_run_that_is_terminated_keeps_what_it_has(clip: Path, tmp_path: Path, video: Video) -> None:
    """By SIGTERM, as cluster schedulers and `kill` do it."""
    for index in range(FRAMES, 400):
        Image.fromarray(video.images[index % FRAMES]).save(clip / f"{index + 8}.png")
    arguments = ["track", "clip", "--init", "init.png", "--out", "masks", "--trace", "t.jsonl", "--device", "cpu"]
    process = subprocess.Popen([sys.executable, "-m", "sam2rl_tracker", *arguments], cwd=tmp_path)
    complete = "[!.]*.png"  # a mask that is being written has a hidden name
    while len(list((tmp_path / "masks").glob(complete))) < 5 and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    assert process.wait() != 0
    written = len(list((tmp_path / "masks").glob(complete)))
    assert 5 <= written < 400
    assert len((tmp_path / "t.jsonl").read_text().splitlines()) == written


def _resize(clip: Path) -> None:
    Image.open(clip / "10.png").resize((64, 64)).save(clip / "10.png")


def _empty_mask(clip: Path) -> None:
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(clip.parent / "init.png")


def _small_mask(clip: Path) -> None:
    Image.fromarray(np.ones((64, 32), np.uint8)).save(clip.parent / "init.png")


def _no_frames(clip: Path) -> None:
    for path in clip.iterdir():
        path.unlink()


def _foreign_output(clip: Path) -> None:
    (clip.parent / "masks").mkdir()
    (clip.parent / "masks" / "thesis.txt").write_text("precious")


def _nothing(clip: Path) -> None:
    pass


BAD_TRACKS = {
    "size change": (_resize, [], "Frame 10 of .* is 64x64 pixels but the first is 128x128"),
    "empty mask": (_empty_mask, [], "init.png is empty"),
    "mask of another size": (_small_mask, [], "init.png is 32x64 pixels but the first frame of .* is 128x128"),
    "no frames": (_no_frames, [], "holds no frames"),
    "output not empty": (_foreign_output, [], "masks is not empty"),
    "unknown policy": (_nothing, ["--policy", "x"], "Policy 'x' is unknown: give one of d4sm, dam4sam"),
    "unknown model": (_nothing, ["--model", "x"], "Model 'x' is unknown: give one of nano"),
    "no such device": (_nothing, ["--device", "cuda:99"], "Device 'cuda:99'"),
    "bad box": (_nothing, ["--box", "1,2,3"], "Box '1,2,3' is not X,Y,W,H"),
    "mask and box": (_nothing, ["--box", "1,2,30,30"], "either --init MASK.png, or --box"),
    "bad point": (_nothing, ["--point", "1"], "Point '1' is not X,Y"),
    "bad removal": (_nothing, ["--remove", "3"], "Removal '3' is not K@FRAME"),
    "no such frame": (_nothing, ["--point", "1,2@6"], "Point 1,2 is on frame 6, but .* has 6 frames, .* 0 to 5"),
    "point outside": (_nothing, ["--point", "1,128@2"], "Point 1,128 on frame 2 lies outside of the image of 128x128"),
    "not tracked": (_nothing, ["--remove", "4@2"], "Object 4 cannot be removed on frame 2"),
    "no such start": (_nothing, ["--start", "6"], "--start is frame 6, but .* has 6 frames"),
    "no prompts file": (_nothing, ["--prompts", "p.json"], "p.json cannot be read"),
    "no corrections": (
        _nothing,
        ["--policy", "sam2rl", "--point", "1,2@3"],
        "Policy 'sam2rl' takes no corrections, but object 3 is corrected on frame 3",
    ),
}


@pytest.mark.parametrize("case", BAD_TRACKS)
def test_bad_input_is_one_sentence(run: Run, clip: Path, case: str) -> None:
    spoil, extra, message = BAD_TRACKS[case]
    spoil(clip)
    status, out, said = run("track", clip, "--init", "init.png", "--out", "masks", *extra)
    assert status == 2
    assert out == ""
    assert said.startswith("error: ")
    assert "Traceback" not in said
    assert re.search(message, said), said


def readme_policy() -> str:
    """The README's own example, so that it cannot go stale."""
    text = (Path(__file__).parents[2] / "README.md").read_text()
    return next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "class FirstSix" in block)


def test_the_readmes_policy_runs_from_the_current_folder(run: Run, clip: Path) -> None:
    Path("mine.py").write_text(readme_policy())
    arguments = ("--init", "init.png", "--out", "masks", "--trace", "t.jsonl", "--policy", "mine:FirstSix:count=2")
    status, _, said = run("track", clip, *arguments)
    assert status == 0, said
    last = json.loads(Path("t.jsonl").read_text().splitlines()[-1])
    assert last["memories"] == [[0, 6], [1, 1], [2, 0]]


def test_masks_of_another_run_do_not_stay(run: Run, clip: Path) -> None:
    assert run("track", clip, "--init", "init.png", "--out", "masks")[0] == 0
    (clip / "13.png").unlink()
    assert run("track", clip, "--init", "init.png", "--out", "masks")[0] == 0
    assert not Path("masks/13.png").exists()


def test_names_that_look_like_markup(run: Run, clip: Path) -> None:
    status, _, said = run("track", clip, "--init", "init.png", "--out", "x[/b] [red]")
    assert status == 0
    assert "masks in x[/b] [red]" in said
    assert "y[b] does not exist" in run("track", clip, "--init", "y[b]")[2]


def test_a_black_and_white_mask_is_one_object(run: Run, clip: Path, video: Video) -> None:
    Image.fromarray(video.truth[0].astype(np.uint8) * 255).save("init.png")
    assert run("track", clip, "--init", "init.png", "--out", "masks")[0] == 0
    assert np.array_equal(np.asarray(Image.open("masks/8.png")), video.truth[0])


def test_missing_source_and_unwritable_output(run: Run, clip: Path) -> None:
    status, _, said = run("track", "nowhere", "--init", "init.png")
    assert status == 2
    assert "nowhere" in said
    Path("file").write_text("in the way")
    status, _, said = run("track", clip, "--init", "init.png", "--out", "file/masks")
    assert status == 2
    assert "cannot be written" in said or "is a file" in said
