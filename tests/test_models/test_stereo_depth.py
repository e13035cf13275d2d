"""Geometry and interface of the stereo branch."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from sweep_cameras import make_cameras
from torch import Tensor

from htcl.errors import InvalidValueError
from htcl.geometry import Camera
from htcl.models.checkpointing import checkpoint_modules
from htcl.models.depth import StereoDepth
from htcl.models.interfaces import FrameInputs
from htcl.ops.cost_volume import plane_cost_volume

BINS = {"start": 2.0, "stop": 50.0, "step": 1.0}
RELEASED = {
    "plane_depths": "released",
    "disparity_scale": 0.25,
    "volume_sampling": "released",
}
PATCHES = {"type": "PatchVolume"}
# Focal length times baseline of KITTI's sequence 00, and the scale to a network image 416 wide.
FOCAL_BASELINE, SCALE = 382.66995, 416 / 1241


def stereo_depth(**changes) -> StereoDepth:
    config = {
        "depth_bins": BINS,
        "input_size": (96, 312),
        "max_disparity": 72,
        "base_width": 1,
    }
    return StereoDepth(**{**config, **changes})


def make_camera(scale=SCALE, size=(128, 416), pixels="centres"):
    """A camera whose image is scaled by a factor along the rows; several factors, several ones."""
    scales = torch.as_tensor(scale, dtype=torch.float64).reshape(-1)
    transform = torch.eye(3, dtype=torch.float64).repeat(len(scales), 1, 1)
    transform[:, 0, 0] = scales
    return make_cameras(torch.eye(4).repeat(len(scales), 1, 1), transform, size, pixels)


def scalar(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def test_released_planes():
    stereo = stereo_depth(max_disparity=192, **RELEASED)
    assert stereo.planes().tolist() == list(range(1, 65))
    disparity = stereo.plane_disparities(scalar(FOCAL_BASELINE), make_camera(1.03, (384, 1280)))
    expected = FOCAL_BASELINE / 4 / torch.arange(1, 65).double()
    torch.testing.assert_close(disparity[0], expected)


@pytest.mark.parametrize("pixels", ["released", "centres"])
def test_each_bin_of_the_result_holds_its_own_depth(pixels):
    """With the planes' depths as cost, log ratios of the result are differences of bin depths."""
    stereo = stereo_depth()
    cost = stereo.planes().float().reshape(1, 1, -1, 1, 1).expand(1, 1, 24, 32, 104)
    prob = stereo.distribution(cost, make_camera(pixels=pixels), (16, 52))
    depth = prob[0, 0].log() - prob[0].log() + 2.0
    expected = torch.arange(2.0, 50.0)[:, None, None].expand(48, 16, 52)
    torch.testing.assert_close(depth, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("pixels", ["released", "centres"])
def test_disparity_follows_the_resize(pixels):
    """Resize two ramps that differ by the disparity of 7 m, measure it in feature columns."""
    stereo = stereo_depth()
    shift = FOCAL_BASELINE * SCALE / 7
    ramp = torch.arange(416, dtype=torch.float64).expand(1, 3, 128, 416)
    # A point at column x of the left view is at x - shift of the right one.
    left, right = (stereo.resize(image, pixels)[0, 0, 0, 3:-3] for image in (ramp, ramp + shift))
    columns_per_pixel = 1 / (left[1] - left[0]) / 3
    disparity = (right - left)[0] * columns_per_pixel
    stereo.planes = lambda device=None: scalar(7.0)
    measured = stereo.plane_disparities(scalar(FOCAL_BASELINE), make_camera(pixels=pixels))
    torch.testing.assert_close(measured[0, 0], disparity)


@pytest.mark.parametrize("axis", [0, 1])
def test_cells_read_the_cost_at_their_middle(axis):
    """A cost of (pixel position) x (plane): the ratio of two bins gives the position read."""
    stereo = stereo_depth(depth_bins={"start": 2.0, "stop": 26.0, "step": 1.0})
    length, cells = (128, 416)[axis], (16, 52)[axis]
    shape = (-1, 1) if axis == 0 else (1, -1)
    ramp = torch.arange(length, dtype=torch.float32).reshape(shape).expand(1, 3, 128, 416)
    # The network pixel that each feature column was computed around.
    pixel = stereo.resize(ramp, "centres")[:, :1, None, ::3, ::3]
    cost = pixel / length * torch.arange(24.0).reshape(1, 1, 24, 1, 1)
    prob = stereo.distribution(cost, make_camera(), (16, 52)).double()
    read = (prob[0, 0] / prob[0, 1]).log() * length
    read = read[:, 26] if axis == 0 else read[8]
    inner = slice(1, -1)  # the resize clamps at the border
    expected = torch.arange(cells).double() * 8 + 3.5
    torch.testing.assert_close(read[inner], expected[inner], rtol=0, atol=0.01)


@pytest.mark.parametrize("depth", [4.0, 7.0, 12.0])
def test_finds_the_depth_of_a_wall(depth):
    """Real geometry from original pixels to bins, with pixels in place of learned features."""
    stereo = stereo_depth(max_disparity=144)
    shift = FOCAL_BASELINE * SCALE / depth
    column, row = torch.arange(416.0), torch.arange(128.0)[:, None]

    def view(x: Tensor) -> Tensor:
        # Sine and cosine: somewhere one of them always changes with x.
        phases = [(x + row) / period for period in (20, 27)]
        waves = [wave(phase) for phase in phases for wave in (torch.sin, torch.cos)]
        return torch.stack([wave.expand(128, 416) for wave in waves])[None]

    left, right = (
        stereo.resize(image, "centres")[..., ::3, ::3]
        for image in (view(column), view(column + shift))
    )
    disparity = stereo.plane_disparities(scalar(FOCAL_BASELINE), make_camera())
    volume = plane_cost_volume(left, right, disparity, stereo.num_planes)
    cost = (volume[:, :4] - volume[:, 4:]).abs().sum(dim=1, keepdim=True)
    prob = stereo.distribution(cost, make_camera(), (16, 52))
    # Columns left of the largest disparity are masked and say nothing.
    found = prob.argmax(dim=1)[..., 20:-1] + 2.0
    assert (found == depth).all()


class TestCorrelation:
    def test_agreement_is_largest_at_the_true_disparity(self):
        """The right view is the left one, moved by 3 columns; planes lie at 1 to 6 columns."""
        stereo = stereo_depth(input_size=(24, 96), max_disparity=24, correlation_groups=2)
        torch.manual_seed(0)
        wide = torch.randn(1, 8, 8, 40)
        left, right = wide[..., :32], wide[..., 3:35]
        disparity = torch.arange(1.0, 7.0)[None]
        volume = stereo.cost_volume(left, right, disparity)
        assert volume.shape == (1, 2, 6, 8, 32)
        inner = volume[..., 8:]
        assert (inner.argmax(dim=2) == 2).all()
        # The two views are centred by slightly different means.
        torch.testing.assert_close(inner[:, :, 2], torch.ones(1, 2, 8, 24), atol=0.05, rtol=0)

    def test_columns_without_a_partner_are_zero(self):
        stereo = stereo_depth(input_size=(24, 96), max_disparity=24, correlation_groups=4)
        views = torch.randn(2, 1, 8, 8, 32)
        volume = stereo.cost_volume(*views, torch.tensor([[5.0]]))
        assert (volume[..., :5] == 0).all()
        assert (volume[..., 5:] != 0).all()

    def test_groups_must_divide_the_features(self):
        with pytest.raises(InvalidValueError, match=r"8 stereo features.*correlation_groups=3"):
            stereo_depth(base_width=2, correlation_groups=3)


class TestPatchCorrelation:
    def test_is_one_at_the_plane_of_the_true_disparity(self):
        """Plane k has a disparity of k feature columns, 3 k pixels; the view is moved by 6."""
        stereo = stereo_depth(input_size=(24, 96), max_disparity=24, patch_volume=PATCHES)
        torch.manual_seed(0)
        wide = 10 * torch.randn(1, 3, 24, 112)
        left, right = wide[..., :96], wide[..., 6:102]
        disparity = 12.0 / stereo.planes()[None].float()
        patches = stereo.correlate_patches(left, right, disparity)
        assert patches.shape == (1, 1, 8, 8, 32)
        plane = int((disparity[0] - 2.0).abs().argmin())
        moved = 12.0 / float(stereo.planes()[plane])
        exact = stereo.correlate_patches(left, right, disparity * 2.0 / moved)
        inner = exact[0, 0, plane, :, 4:]
        torch.testing.assert_close(inner, torch.ones_like(inner), atol=0.02, rtol=0)
        assert exact[0, 0, 0, :, 8:].mean() < 0.3

    def test_adds_one_channel_to_the_volume(self):
        plain = tiny_stereo(correlation_groups=4)
        patched = tiny_stereo(correlation_groups=4, patch_volume=PATCHES)
        first = "matching.stems.0.conv.weight"
        assert patched.state_dict()[first].shape[1] == plain.state_dict()[first].shape[1] + 1


def tiny_stereo(**changes) -> StereoDepth:
    torch.manual_seed(0)
    return stereo_depth(input_size=(24, 48), max_disparity=24, base_width=2, **changes)


def views(batch: int, camera: Camera) -> FrameInputs:
    """Left and right images of 32 x 64 pixels, and their focal lengths times baselines."""
    generator = torch.Generator().manual_seed(1)
    left, right = (torch.randn(batch, 3, 32, 64, generator=generator) for _ in range(2))
    return FrameInputs(left, camera, right, FOCAL_BASELINE * torch.linspace(1, 1.5, batch))


@pytest.mark.parametrize(
    "keys", [{}, RELEASED, {"correlation_groups": 4}, {"patch_volume": PATCHES}]
)
@pytest.mark.parametrize("pixels", ["centres", "released"])
def test_every_image_gives_what_it_gives_alone(keys, pixels):
    """Three images of different cameras."""
    stereo = tiny_stereo(**keys).eval()
    camera = make_camera([0.05, 0.08, 0.03], (32, 64), pixels)
    frame = views(3, camera)
    prob = stereo(frame, (4, 8))
    assert prob.shape == (3, 48, 4, 8)
    torch.testing.assert_close(prob.sum(1), torch.ones(3, 4, 8))
    for index in range(3):
        row = slice(index, index + 1)
        single = (frame.images, frame.camera, frame.right, frame.focal_baseline)
        alone = stereo(FrameInputs(*(value[row] for value in single)), (4, 8))
        torch.testing.assert_close(alone, prob[row], rtol=1e-3, atol=1e-5)


def test_a_missing_right_image_is_said():
    frame = replace(views(1, make_camera(0.05, (32, 64))), right=None)
    with pytest.raises(InvalidValueError, match="needs the right image of every frame"):
        tiny_stereo()(frame, (4, 8))


def test_keys_leave_the_parameters_alone():
    shapes = [
        {name: tuple(p.shape) for name, p in tiny_stereo(**keys).state_dict().items()}
        for keys in ({}, RELEASED)
    ]
    assert shapes[0] == shapes[1]


def test_checkpointing_changes_no_gradient():
    grads = []
    for checkpointing in ([], ["features", "matching.stems.*", "matching.cells.*"]):
        stereo = tiny_stereo().train()
        checkpoint_modules(stereo, checkpointing)
        stereo(views(1, make_camera(0.05, (32, 64))), (4, 8))[:, 3].sum().backward()
        grads.append([p.grad for p in stereo.parameters()])
    assert all(g is not None for g in grads[0])
    torch.testing.assert_close(grads[0], grads[1])


def test_released_size():
    """The parameter count of the released stereo networks (LEA feature and matching nets)."""
    stereo = stereo_depth(input_size=(288, 960), max_disparity=192, base_width=8)
    assert sum(math.prod(p.shape) for p in stereo.parameters()) == 1_724_945


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"input_size": (96, 300)}, r"\(96, 300\).*multiples of 24"),
        ({"max_disparity": 64}, "max_disparity 64"),
        ({"plane_depths": "metres"}, "plane_depths"),
        ({"disparity_scale": "true"}, "disparity_scale"),
        ({"volume_sampling": "middle"}, "volume_sampling='middle'.*released"),
    ],
)
def test_errors(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        stereo_depth(**changes)


def test_matching_volume_must_be_divisible():
    stereo = tiny_stereo()
    with pytest.raises(ValueError, match=r"\(8, 8, 12\) must be multiples of 8"):
        stereo.matching(torch.zeros(1, 16, 8, 8, 12))
