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

    def __call__(self, frames):
        self.seen.append(frames.shape[1])
        return 2 * frames


@pytest.fixture
def matching():
    return Matching()


def frames_of(keys):
    """Frames (2, T, 3, 2, 2) whose values are the keys."""
    return torch.tensor(keys).float().view(1, -1, 1, 1, 1).expand(2, -1, 3, 2, 2)


def predict(memory, keys, matching):
    clip = memory.recall(keys)
    frames = frames_of(keys)
    assert torch.equal(clip.complete(frames, matching), 2 * frames)
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
    assert {(clip.known.shape[1], clip.missing, clip.order) for clip in clips[1:]} == {
        (3, (3,), (0, 1, 2, 3))
    }


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
    assert (clip.missing, clip.order) == ((1,), (0, 2, 1, 2))
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
        memory.recall([0, 1]).complete(frames_of([0, 1]), matching)
    assert matching.seen == [2, 2]
    assert len(memory) == 0


def test_keeps_no_other_frame_alive(matching):
    memory = FrameMemory(1)
    predict(memory, [0, 1, 2, 3], matching)
    (kept,) = memory._maps.values()
    assert kept.untyped_storage().nbytes() == kept.numel() * kept.element_size()


def test_an_impossible_size():
    with pytest.raises(InvalidValueError, match=r"FrameMemory\(size=0\)"):
        FrameMemory(0)
