"""Shards: together everything, and nothing twice."""

import pytest

from sam2rl_tracker.errors import Sam2rlError
from sam2rl_tracker.runs.shards import Shard


@pytest.mark.parametrize("length", [0, 1, 7, 24])
@pytest.mark.parametrize("count", [1, 3, 8])
def test_shards_have_everything_once(length: int, count: int) -> None:
    shards = [Shard.parse(f"{number}/{count}").of(range(length)) for number in range(1, count + 1)]
    assert sorted(item for shard in shards for item in shard) == list(range(length))
    assert max(map(len, shards)) - min(map(len, shards)) <= 1  # as even as can be
    assert Shard.parse(None).of(range(length)) == list(range(length))


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "3/", "3/0", "-1/8", "three/8", "3/8/2"])
def test_what_is_no_shard_is_told(text: str) -> None:
    with pytest.raises(Sam2rlError, match=f"--shard {text} is no shard"):
        Shard.parse(text)
