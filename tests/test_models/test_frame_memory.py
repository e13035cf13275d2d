"""What a memory of frames keeps and gives, on numbers in place of features.

Shape letters: M image, T frame, C channel, h w map.
"""

from __future__ import annotations

import pytest
import torch

from htcl.errors import InvalidValueError
from htcl.models.temporal import FrameMemory


class Matching:
    """Stands in for the network: features are twice the frames; it notes how many it saw."""

    def __init__(self):
        self.seen = []

    def of(self, frames):
        """How a clip of frames (M, T, 3, h, w) is completed."""

        def compute(places):
            self.seen.append(len(places))
            return [{"twice": 2 * frames[:, place]} for place in places]

        return compute


@pytest.fixture
def matching():
    return Matching()


def frames_of(keys):
    """Frames (2, T, 3, 2, 2) whose values are the keys."""
    return torch.tensor(keys).float().view(1, -1, 1, 1, 1).expand(2, -1, 3, 2, 2)


def complete(clip, keys, matching):
    frames = frames_of(keys)
    records = clip.complete("twice", range(len(keys)), matching.of(frames))
    assert torch.equal(torch.stack([record["twice"] for record in records], dim=1), 2 * frames)


def predict(memory, keys, matching):
    clip = memory.recall(keys)
    complete(clip, keys, matching)
    memory.remember(keys, clip)
    return clip


def test_a_stream_computes_each_frame_once(matching):
    memory = FrameMemory(4)
    clips = [
        predict(memory, [max(t - 3, 0), max(t - 2, 0), max(t - 1, 0), t], matching)
        for t in range(8)
    ]
    assert matching.seen == [1] * 8
    assert len(memory) == 4
    # All but the first look alike to a compiled forward pass.
    assert [clip.first for clip in clips] == [(0, 0, 0, 0)] + 7 * [(0, 1, 2, 3)]
    assert [tuple(map(len, clip.known)) for clip in clips[1:]] == 7 * [(1, 1, 1, 0)]


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_size_for_a_stride(stride, matching):
    memory = FrameMemory(2 * stride + 1)
    for t in range(6 * stride):
        predict(memory, [max(t - step * stride, 0) for step in (2, 1, 0)], matching)
    assert matching.seen == [1] * 6 * stride
    assert len(memory) == 2 * stride + 1


def test_mixed_clips(matching):
    memory = FrameMemory(4)
    predict(memory, [0, 1, 2], matching)
    clip = predict(memory, [1, 7, 2, 7], matching)
    assert clip.first == (0, 1, 2, 1)
    predict(memory, [7, 1], matching)
    assert matching.seen == [3, 1]
    # A clip longer than the memory is predicted all the same.
    predict(memory, [10, 11, 12, 13, 14], matching)
    assert len(memory) == 4
    predict(memory, [14, 10], matching)
    assert matching.seen == [3, 1, 5, 1]


def test_what_was_not_remembered_is_computed_again(matching):
    memory = FrameMemory(4)
    for _ in range(2):
        complete(memory.recall([0, 1]), [0, 1], matching)
    assert matching.seen == [2, 2]
    assert len(memory) == 0


def test_keeps_no_other_frame_alive(matching):
    memory = FrameMemory(1)
    predict(memory, [0, 1, 2, 3], matching)
    (record,) = memory._records.values()
    kept = record["twice"]
    assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size()


def test_parts_keep_what_each_needs(matching):
    """One part looks at two frames, the other at three; both records of a frame stay together."""
    memory = FrameMemory(4)
    for keys in ([0, 1, 2], [1, 2, 3]):
        clip, frames = memory.recall(keys), frames_of(keys)
        clip.complete("twice", [1, 2], matching.of(frames))
        last = clip.complete("sign", [2], lambda places: [{"sign": torch.ones(1)} for _ in places])
        assert set(last[0]) == {"twice", "sign"}
        memory.remember(keys, clip)
    assert matching.seen == [2, 1]
    complete(memory.recall([0, 2]), [0, 2], matching)
    assert matching.seen == [2, 1, 1]


def test_an_impossible_size():
    with pytest.raises(InvalidValueError, match=r"FrameMemory\(size=0\)"):
        FrameMemory(0)
