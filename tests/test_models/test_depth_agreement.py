"""Trust in points of the history, on a street with a wall, a car and a moving camera.

Shape letters: M image, T frame, h w map.
"""

from __future__ import annotations

import math

import pytest
import torch
from sweep_cameras import make_cameras

from htcl.errors import InvalidValueError
from htcl.models.temporal import DepthAgreement

# A map of 12 x 24 cells of 8 pixels; a cell is 1 m wide at a depth of 10 m.
HEIGHT, WIDTH = 12, 24
WALL, CAR = 20.0, 10.0


def camera(images=1):
    matrix = torch.eye(4)
    matrix[0, 0] = matrix[1, 1] = 80.0
    matrix[0, 2], matrix[1, 2] = 8 * WIDTH / 2 - 0.5, 8 * HEIGHT / 2 - 0.5
    size = (8 * HEIGHT, 8 * WIDTH)
    return make_cameras(matrix.repeat(images, 1, 1), torch.eye(3).repeat(images, 1, 1), size)


def still(frames):
    """Motions of a camera that creeps: 1 mm a frame, so that each frame has a place of its own."""
    motions = torch.eye(4).repeat(1, frames, 1, 1)
    motions[0, :, 2, 3] = -1e-3 * torch.arange(frames - 1, -1, -1.0)
    return motions


def street(car_at):
    """Depth (12, 24) of a wall with a car of 6 x 4 cells before it, its left side at a column."""
    depth = torch.full((HEIGHT, WIDTH), WALL)
    depth[4:8, car_at : car_at + 6] = CAR
    return depth


def test_a_car_that_moved_is_refuted_and_the_wall_stays():
    depth = torch.stack([street(2), street(14)])[None]
    trust = DepthAgreement()(depth, still(2), camera())[0, 0]
    assert trust[4:8, 2:8].max() < 1e-6
    # The wall is seen again, or hidden behind the car where it is now.
    wall = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
    wall[4:8, 2:8] = False
    assert trust[wall].min() > 0.9999


def test_what_only_hides_is_not_refuted_but_unconfirmed():
    """A car comes into view: the wall behind it is neither seen nor contradicted."""
    depth = torch.stack([street(WIDTH), street(8)])[None]
    trust = DepthAgreement(unconfirmed=0.25)(depth, still(2), camera())[0, 0]
    # Cells next to the car still have wall around them.
    torch.testing.assert_close(trust[5:7, 9:13], torch.full((2, 4), 0.25))
    outside = trust.clone()
    outside[4:8, 8:14] = 1
    torch.testing.assert_close(outside, torch.ones(HEIGHT, WIDTH))


def test_the_formula():
    """A wall that is 1.5 m farther now: s = 0.5 + 0.05 * 20 = 1.5 m, so free = 1 - exp(-1/2)."""
    depth = torch.stack([street(WIDTH), street(WIDTH) + 1.5])[None]
    trust = DepthAgreement(unconfirmed=0.5)(depth, still(2), camera())[0, 0]
    expected = math.exp(-0.5) * (0.5 + 0.5 * math.exp(-0.5))
    torch.testing.assert_close(trust, torch.full_like(trust, expected), rtol=1e-3, atol=0)


def test_another_frame_of_the_past_refutes_too():
    """The car's first place is out of the present's sight, but a frame between saw the wall."""
    motions = still(3)
    # The camera has moved 60 m to the right in the end: nothing of the past is in view.
    motions[0, :2, 0, 3] = -60
    depth = torch.stack([street(2), street(14), street(WIDTH)])[None]
    trust = DepthAgreement()(depth, motions, camera())[0]
    assert trust[0, 4:8, 2:8].max() < 1e-6
    assert trust[1, 4:8, 14:20].max() < 1e-6
    alone = DepthAgreement()(depth[:, ::2], motions[:, ::2], camera())[0, 0]
    assert torch.equal(alone, torch.ones(HEIGHT, WIDTH))


def test_follows_the_camera():
    """Driving 2 m towards a wall: at 18 m it is the wall of 20 m; at 20 m it would be new."""
    motions = torch.eye(4).repeat(1, 2, 1, 1)
    motions[0, 0, 2, 3] = -2
    wall = torch.full((HEIGHT, WIDTH), WALL)
    there = DepthAgreement(unconfirmed=0)(torch.stack([wall, wall - 2])[None], motions, camera())
    # Borders of the old view, which is wider on the wall, are out of view.
    torch.testing.assert_close(there[0, 0, 1:-1, 2:-2], torch.ones(HEIGHT - 2, WIDTH - 4))
    gone = DepthAgreement()(torch.stack([wall, wall])[None], motions, camera())
    scale = 0.5 + 0.05 * 18
    expected = math.exp(-0.5 * (2 / scale) ** 2)
    torch.testing.assert_close(
        gone[0, 0, 1:-1, 2:-2], torch.full((HEIGHT - 2, WIDTH - 4), expected)
    )


def test_frames_of_one_place_say_nothing_of_each_other():
    """Frames that stand in before the start would confirm themselves."""
    depth = torch.stack([street(2), street(2), street(2)])[None]
    trust = DepthAgreement(unconfirmed=0.5)(depth, torch.eye(4).repeat(1, 3, 1, 1), camera())
    assert torch.equal(trust, torch.full((1, 2, HEIGHT, WIDTH), 0.5))


def test_every_image_gives_what_it_gives_alone():
    generator = torch.Generator().manual_seed(0)
    depth = 5 + 20 * torch.rand(2, 3, HEIGHT, WIDTH, generator=generator)
    motions = torch.cat([still(3), still(3)])
    motions[1, :, 0, 3] = torch.tensor([-2.0, -1.0, 0.0])
    joint = DepthAgreement()(depth, motions, camera(2))
    for row in (slice(0, 1), slice(1, 2)):
        alone = DepthAgreement()(depth[row], motions[row], camera())
        torch.testing.assert_close(alone, joint[row])
    assert not joint.requires_grad
    assert joint.shape == (2, 2, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "options", [{"relative": -0.1}, {"absolute": 0.0}, {"unconfirmed": 1.5}, {"unconfirmed": -1.0}]
)
def test_impossible_numbers(options):
    with pytest.raises(InvalidValueError, match="DepthAgreement needs relative >= 0"):
        DepthAgreement(**options)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_changes_nothing(dtype):
    """A map of 48 x 160 cells has more of them than 16 bits can count."""
    generator = torch.Generator().manual_seed(0)
    depth = 5 + 40 * torch.rand(1, 3, 48, 160, generator=generator)
    motions = torch.eye(4).repeat(1, 3, 1, 1)
    motions[0, :2, 2, 3] = torch.tensor([-2.0, -1.0])
    matrix = torch.eye(4)
    matrix[0, 0] = matrix[1, 1] = 720.0
    matrix[0, 2], matrix[1, 2] = 640.0, 192.0
    cameras = make_cameras(matrix[None], torch.eye(3)[None], (384, 1280))
    expected = DepthAgreement()(depth, motions, cameras)
    with torch.autocast("cpu", dtype):
        assert torch.equal(DepthAgreement()(depth, motions, cameras), expected)
