"""The tracker that the toolkit starts: regions in, replies out, and the process itself over TraX."""

import io
import os
import struct
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import trax
from PIL import Image
from trax.client import Client

from sam2rl_tracker.agents import Agent, fingerprint, save_agent
from sam2rl_tracker.engine import Model
from sam2rl_tracker.errors import NoAgent, NothingFound, Sam2rlError
from sam2rl_tracker.runs.provenance import Provenance
from sam2rl_tracker.tracking.trace import TraceLine
from sam2rl_tracker.tracking.tracker import Tracker
from sam2rl_tracker.vot.regions import Region, bounding_box, read_trajectory
from sam2rl_tracker.vot.sequences import AnnotatedFrame
from sam2rl_tracker.vot.toolkit import evaluate
from sam2rl_tracker.vot.tracker import (
    MAX_RUNS,
    Session,
    answer_requests,
    reply,
    storable,
    to_mask,
    workspace_of,
)
from sam2rl_tracker.vot.workspace import Workspace, create

SIZE = (40, 56)


@pytest.fixture(scope="module")
def tracker():
    return Tracker("nano", device="cpu")


def image(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (*SIZE, 3), dtype=np.uint8)


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    mask = np.zeros(SIZE, dtype=bool)
    mask[y : y + height, x : x + width] = True
    return mask


def crop(x: int, y: int, width: int, height: int) -> trax.Mask:
    return trax.Mask.create(np.ones((height, width), np.uint8), x, y)


EMPTY = [trax.Mask.create(np.zeros((0, 0), np.uint8)), trax.Rectangle.create(0, 0, 0, 0), trax.Special.create(1)]


# ---------------------------------------------------------------- regions


@pytest.mark.parametrize(
    ("region", "expected"),
    [
        (crop(30, 20, 8, 9), box(30, 20, 8, 9)),  # a crop is smaller than the image
        (crop(50, 35, 20, 20), box(50, 35, 6, 5)),
        (crop(-3, -2, 6, 6), box(0, 0, 3, 4)),
        (trax.Mask.create(np.eye(5, dtype=np.uint8), 0, 0), np.pad(np.eye(5), ((0, 35), (0, 51)))),
        (trax.Rectangle.create(4, 6, 10, 3), box(4, 6, 10, 3)),
        (trax.Polygon.create([(4, 6), (13, 6), (13, 8), (4, 8)]), box(4, 6, 10, 3)),
        *((region, np.zeros(SIZE)) for region in EMPTY),
    ],
)
def test_regions_become_masks_of_the_image(region, expected):
    assert np.array_equal(to_mask(region, SIZE), expected)


def test_replies_are_cut_to_the_object():
    mask = box(30, 20, 8, 9)
    mask[22, 33] = False
    trace = TraceLine(8, 1, [[0, 0], [7, 1], [3, 2]], [], 0.5, -1.0, area=71, stored=True)
    region, properties = reply(mask, trace)
    assert (region.offset(), region.size()) == ((30, 20), (8, 9))
    assert np.array_equal(to_mask(region, SIZE), mask)
    assert properties == {"predicted_iou": 0.5, "object_score": -1.0, "memory_size": 3, "memory_frames": "0 3 7"}


@pytest.mark.parametrize("mask", [None, np.zeros(SIZE, bool)])
def test_an_absent_object_is_an_empty_region(mask):
    region, properties = reply(mask, None)
    assert not to_mask(region, SIZE).any()
    assert properties == {}


def test_masks_that_the_toolkit_could_not_store_are_coarsened():
    from vot.region.io import write_trajectory
    from vot.region.shapes import Mask

    noise = np.indices((500, 501)).sum(axis=0) % 2 == 0
    coarse = storable(noise)
    assert coarse.shape == noise.shape
    write_trajectory(io.BytesIO(), [Mask(coarse)])
    with pytest.raises(struct.error):  # the format counts runs in 16 bits
        write_trajectory(io.BytesIO(), [Mask(noise)])
    assert np.count_nonzero(np.diff(coarse.ravel())) < MAX_RUNS
    assert storable(box(1, 2, 9, 9)) is not None
    assert np.array_equal(storable(box(1, 2, 9, 9)), box(1, 2, 9, 9))


# ---------------------------------------------------------------- a session


def test_objects_keep_their_places(tracker):
    """One with an empty mask is absent for ever, one is added later: the order never changes."""
    session = Session(tracker)
    first = session.step(image(0), [EMPTY[0], crop(5, 5, 12, 10), EMPTY[1]])
    assert [to_mask(region, SIZE).sum() for region, _ in first] == [0, 120, 0]
    second = session.step(image(1), [crop(30, 20, 10, 10)])
    assert [to_mask(region, SIZE).sum() for region, _ in second][::2] == [0, 0]
    assert np.array_equal(to_mask(second[3][0], SIZE), box(30, 20, 10, 10))
    third = session.step(image(2), [])
    assert len(third) == 4
    assert [properties.get("memory_frames") for _, properties in third] == [None, "0 1", None, "1"]


def test_nothing_but_empty_objects(tracker):
    session = Session(tracker)
    for t in range(2):
        replies = session.step(image(t), EMPTY if t == 0 else [])
        assert [to_mask(region, SIZE).any() for region, _ in replies] == [False] * 3


CORNERS = [(5, 5), (25, 5), (25, 25), (5, 25)]


@pytest.mark.parametrize("region", [trax.Rectangle.create(5, 5, 20, 20), trax.Polygon.create(CORNERS)])
def test_a_box_is_a_prompt_and_not_a_mask(tracker, region):
    """What SAM 2 finds in it is tracked, and answered in the form of the box."""
    prompted = Tracker(tracker.model)
    first = prompted.initialize(image(), boxes=np.array([[5, 5, 20, 20]]))[0]
    second = prompted.track(image(1))[0]
    session = Session(tracker)
    for found, mask in zip([session.step(image(), [region]), session.step(image(1), [])], [first, second], strict=True):
        assert 0 < mask.sum() != 400
        assert found[0][0].type == region.type
        x, y, width, height = bounding_box(mask)
        if region.type == trax.Region.RECTANGLE:
            assert found[0][0].bounds() == (x, y, width, height)
        else:
            outside = mask & ~to_mask(found[0][0], SIZE)  # the corners are rounded to pixels
            assert outside.sum() < 0.1 * mask.sum()


def test_what_a_box_encloses_is_tracked_where_sam2_finds_nothing(tracker, monkeypatch):
    def find_nothing(boxes, masks):
        raise NothingFound("No object was found in the box.")

    monkeypatch.setattr("sam2rl_tracker.tracking.checks.check_found", find_nothing)
    ((region, _),) = Session(tracker).step(image(), [trax.Rectangle.create(5, 6, 7, 8)])
    assert region.bounds() == (5, 6, 7, 8)


def test_a_box_at_an_angle_is_the_smallest_around_the_mask():
    mask = np.zeros(SIZE, dtype=bool)
    for step in range(10):  # a diagonal bar, whose upright box would be 12 x 12
        mask[10 + step : 13 + step, 10 + step : 13 + step] = True
    region, _ = reply(mask, None, form=trax.Region.POLYGON)
    found = to_mask(region, SIZE)
    assert not (mask & ~found).any()
    assert found.sum() < 100
    assert to_mask(reply(np.zeros(SIZE, bool), None, form=trax.Region.POLYGON)[0], SIZE).sum() == 0


def test_a_box_of_less_than_a_pixel_is_one():
    assert to_mask(trax.Rectangle.create(4, 6, 0.4, 0.2), SIZE).sum() == 1


def test_rectangles_and_polygons(tracker):
    session = Session(tracker)
    triangle = trax.Polygon.create([(30, 5), (50, 5), (50, 25)])
    replies = session.step(image(), [trax.Rectangle.create(5, 5, 20, 20), triangle])
    assert to_mask(replies[0][0], SIZE).any()
    assert np.array_equal(to_mask(replies[1][0], SIZE), to_mask(triangle, SIZE))


def test_a_new_video_forgets_the_last(tracker):
    """The toolkit may run one object after the other in one process."""

    def run() -> list[np.ndarray]:
        session = Session(tracker)
        session.step(image(0), [crop(5, 5, 12, 10)])
        return [to_mask(session.step(image(t), [])[0][0], SIZE) for t in (1, 2, 3)]

    first = run()
    session = Session(tracker)
    session.step(image(9)[:30, :40], [crop(1, 1, 20, 20), crop(20, 5, 9, 9)])
    session.step(image(8)[:30, :40], [])
    assert np.array_equal(run(), first)


# ---------------------------------------------------------------- objects without an agent

FRAMES = 5
LATE = box(30, 20, 10, 10)


@pytest.fixture
def half(tmp_path, nano: Model) -> Workspace:
    """Two sequences: in `half`, object 1 has an agent, 2 and 3 score nothing; `bare` has no agent."""
    workspace = create(tmp_path / "w")
    masks: list[dict] = [{1: box(5, 5, 12, 10), 2: None, 3: None} for _ in range(FRAMES)]
    masks[0][2], masks[-1][3] = box(40, 5, 9, 9), LATE
    workspace.add("half", (AnnotatedFrame(image(t), masks[t]) for t in range(FRAMES)))
    workspace.add("bare", (AnnotatedFrame(image(9 + t), {1: LATE}) for t in range(FRAMES)))
    key = fingerprint(image(0), box(5, 5, 12, 10), nano.hash)
    save_agent(Agent(key, FRAMES, 6, {"actions": np.zeros(FRAMES - 2, dtype=int)}, {}), workspace.folder / "agents")
    return workspace


def test_an_object_without_agent_and_without_score_is_absent(half, nano, capsys):
    session = Session(Tracker(nano, "sam2rl", agents=half.folder / "agents"))
    files = sorted((half.sequences / "half" / "color").iterdir())
    for t, file in enumerate(files):
        new = {0: [crop(5, 5, 12, 10), crop(40, 5, 9, 9)], FRAMES - 1: [crop(30, 20, 10, 10)]}.get(t, [])
        replies = session.step(image(t), new, file)
        assert not any(to_mask(region, SIZE).any() for region, _ in replies[1:])
        assert replies[0][1]
    reasons = {2: "its truth is known only on frame 1, on which it is given", 3: "it is first given on the last frame"}
    assert capsys.readouterr().err.splitlines() == [
        f"sam2rl: Not scored: half, object {k}: {reason}. It has no agent: it is reported absent."
        for k, reason in reasons.items()
    ]


def test_an_object_without_agent_that_scores_is_an_error(half, nano):
    session = Session(Tracker(nano, "sam2rl", agents=half.folder / "agents"))
    with pytest.raises(NoAgent, match="has no agent for this object"):
        session.step(image(9), [crop(30, 20, 10, 10)], half.sequences / "bare" / "color" / "00000001.png")
    with pytest.raises(NoAgent):  # where nothing leads to the truth
        session.step(image(0), [crop(40, 5, 9, 9)])


@pytest.mark.slow
def test_the_toolkit_keeps_the_results_of_the_scored_objects(half):
    (failure,) = evaluate(half.folder, ["SAM2RL"], {"SAM2RL_MODEL": "nano", "SAM2RL_DEVICE": "cpu"})
    assert failure.sequence == "bare"
    assert "has no agent for this object" in failure.reason
    assert "(1 of 2 sequences incomplete)" in failure.reason
    folder = half.folder / "results" / "SAM2RL" / "baseline" / "half"
    answers = {k: read_trajectory((folder / f"half_{k}_001.bin").read_bytes()) for k in (1, 2, 3)}
    assert {k: len(regions) for k, regions in answers.items()} == dict.fromkeys((1, 2, 3), FRAMES)
    assert (folder / "half_1_001_object_score.value").read_text().split()
    for k in (2, 3):
        assert all(not isinstance(region, Region) or region.empty for region in answers[k])


# ---------------------------------------------------------------- the process


def start(**environment: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", "import sam2rl_tracker.vot as vot; vot.main(policy='recency')"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "SAM2RL_DEVICE": "cpu", **environment},
    )


def connect(process: subprocess.Popen) -> Client:
    return Client(stream=(process.stdin.fileno(), process.stdout.fileno()), log=lambda text: None)


@pytest.mark.slow
def test_the_process(tmp_path, tracker):
    for t in range(3):
        Image.fromarray(image(t)).save(tmp_path / f"{t}.png")
    images = [{"color": trax.FileImage.create(str(tmp_path / f"{t}.png"))} for t in range(3)]
    process = start()
    client = connect(process)
    assert client.get("multiobject")
    assert client.get("vot") is None  # with it the toolkit would start the process twice
    for _ in range(2):
        session = Session(tracker, Provenance.of(tracker.model).result_line())
        found, _ = client.initialize(images[0], [(crop(5, 5, 12, 10), {})], {})
        expected = session.step(image(0), [crop(5, 5, 12, 10)])
        for t in (1, 2):
            found, _ = client.frame(images[t], {}, [(crop(30, 20, 10, 10), {})] if t == 1 else [])
            expected = session.step(image(t), [crop(30, 20, 10, 10)] if t == 1 else [])
        assert len(found) == 2
        for (region, properties), (own, own_properties) in zip(found, expected, strict=True):
            assert np.array_equal(to_mask(region, SIZE), to_mask(own, SIZE))
            assert properties == {key: str(value) for key, value in own_properties.items()}
    client.quit()
    assert process.wait(20) == 0


def test_results_do_not_tell_where_a_folder_lies(tracker):
    model = replace(tracker.model, name="/home/me/mine")
    assert Provenance.of(model).result_line().startswith(f"mine {tracker.model.hash}, cpu, sam2rl_tracker ")


def test_the_workspace_is_found_from_an_image(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "config.yaml").touch()
    assert workspace_of(tmp_path / "w" / "sequences" / "one" / "color" / "00000001.jpg") == tmp_path / "w"
    assert workspace_of(tmp_path / "00000001.jpg") is None


def test_agents_are_looked_for_where_the_user_says_and_else_in_the_workspace(tmp_path, monkeypatch):
    """Of several videos in one process each has its own; nothing of it is written into the environment."""
    looked = []

    class Requests:
        def __init__(self) -> None:
            self.left = ["a", "b", "a"]

        def wait(self):
            if not self.left:
                return SimpleNamespace(type=trax.TraxStatus.QUIT)
            path = tmp_path / self.left.pop(0) / "0.png"
            image = {"color": trax.FileImage.create(str(path))}
            return SimpleNamespace(type=trax.TraxStatus.INITIALIZE, image=image, objects=[(crop(5, 5, 12, 10), {})])

        def status(self, replies) -> None:
            raise AssertionError("there is no agent")

    for name in "ab":
        (tmp_path / name / "agents").mkdir(parents=True)
        (tmp_path / name / "config.yaml").touch()
        Image.fromarray(image(0)).save(tmp_path / name / "0.png")
    monkeypatch.setenv("SAM2RL_DEVICE", "cpu")
    monkeypatch.delenv("SAM2RL_AGENTS", raising=False)
    requests = Requests()
    while requests.left:
        with pytest.raises(Sam2rlError, match="has no agent for this object") as caught:
            answer_requests(requests, "sam2rl")
        looked.append(str(caught.value).partition(" ")[0])
    assert "SAM2RL_AGENTS" not in os.environ
    assert looked == [str(tmp_path / name / "agents") for name in "aba"]
    monkeypatch.setenv("SAM2RL_AGENTS", str(tmp_path / "b"))
    requests = Requests()
    with pytest.raises(Sam2rlError, match=f"^{tmp_path / 'b'} has no agent"):
        answer_requests(requests, "sam2rl")


def test_the_environment_says_what_to_compute_in(tmp_path, monkeypatch):
    Image.fromarray(image(0)).save(tmp_path / "0.png")
    request = {"color": trax.FileImage.create(str(tmp_path / "0.png"))}
    told = []

    class Once:
        def wait(self) -> SimpleNamespace:
            kind = trax.TraxStatus.QUIT if told else trax.TraxStatus.INITIALIZE
            return SimpleNamespace(type=kind, image=request, objects=[(crop(5, 5, 12, 10), {})])

        def status(self, replies) -> None:
            told.append(replies[0][1]["made_with"])

    monkeypatch.setenv("SAM2RL_DEVICE", "cpu")
    for dtype, policy, said in (("bfloat16", "recency", ", cpu bfloat16, "), ("", "recency", ", cpu, ")):
        monkeypatch.setenv("SAM2RL_DTYPE", dtype)
        told.clear()
        answer_requests(Once(), policy)
        assert said in told[0]


def test_a_policy_that_looks_back_is_refused():
    with pytest.raises(
        Sam2rlError, match="Policy 'sam2long:output=final' looks back over the whole video, but the toolkit"
    ):
        answer_requests(None, "sam2long:output=final")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("environment", "message"),
    [({"SAM2RL_MODEL": "no-such-model"}, "no-such-model"), ({}, "missing.png does not exist")],
)
def test_errors_end_the_process_with_a_sentence(tmp_path, environment, message):
    process = start(**environment)
    client = connect(process)
    with pytest.raises(trax.TraxException, match="Server terminated the session"):
        client.initialize(
            {"color": trax.FileImage.create(str(tmp_path / "missing.png"))}, [(crop(5, 5, 12, 10), {})], {}
        )
    assert process.wait(20) == 2
    lines = process.stderr.read().decode().splitlines()
    assert lines[-1].startswith("sam2rl: ")
    assert message in lines[-1]
    assert "Traceback" not in lines
