"""Patch volume: the correlation against a loop over patches, and what it does at the edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from htcl.models.volumes import PatchVolume

SIZE = (24, 40)
ONE_METRE = torch.tensor([1.0])


def shift_projection(columns, depth=1.0):
    """A source camera beside the current one: at a depth all pixels move by so many columns."""
    projection = torch.eye(4)
    projection[0, 3] = columns * depth
    return projection[None, None]


def images(seed=0, channels=3):
    return torch.from_numpy(np.random.default_rng(seed).uniform(size=(1, channels, *SIZE))).float()


def test_equals_numpy_correlation_of_each_patch():
    current, source = images(0), images(1)
    sweep = PatchVolume(stride=4, margin=2, noise=0.0)
    volume = sweep(current, source[:, None], shift_projection(0), ONE_METRE)
    assert volume.shape == (1, 1, 1, 6, 10)
    first, second = current[0].mean(dim=0).numpy(), source[0].mean(dim=0).numpy()
    for row, column in ((0, 0), (2, 3), (5, 9)):
        patch = np.s_[
            max(4 * row - 2, 0) : 4 * row + 6,
            max(4 * column - 2, 0) : 4 * column + 6,
        ]
        expected = np.corrcoef(first[patch].ravel(), second[patch].ravel())[0, 1]
        assert volume[0, 0, 0, row, column] == pytest.approx(expected, abs=1e-4)


def test_the_shifted_image_agrees_at_its_depth_alone():
    current = images()
    source = torch.roll(current, 3, dims=-1)
    # Three columns at 2 m, six at 1 m, one and a half at 4 m.
    depths = torch.tensor([1.0, 2.0, 4.0])
    projection = shift_projection(3.0, depth=2.0)
    volume = PatchVolume()(current, source[:, None], projection, depths)[0, 0]
    inside = volume[:, :, 1:-2]
    torch.testing.assert_close(inside[1], torch.ones_like(inside[1]), atol=5e-3, rtol=0)
    assert inside[0].mean() < 0.3
    assert inside[2].mean() < 0.6


def test_out_of_view_and_without_texture_is_zero():
    current = images()
    sweep = PatchVolume()
    assert sweep(current, current[:, None], shift_projection(500.0), ONE_METRE).eq(0).all()
    flat = torch.full_like(current, 0.5)
    assert sweep(flat, current[:, None], shift_projection(0), ONE_METRE).abs().max() < 1e-3
    # Eight columns further right: the last two cells and the margin of the third leave the image.
    volume = sweep(current, current[:, None], shift_projection(8.0), ONE_METRE)
    assert volume[..., -3:].eq(0).all()
    assert volume[..., :-3].ne(0).all()


def test_brightness_and_contrast_do_not_matter():
    current = images()
    sweep, projection = PatchVolume(noise=0.0), shift_projection(0)
    plain = sweep(current, images(1)[:, None], projection, ONE_METRE)
    brighter = sweep(current, 0.5 * images(1)[:, None] + 0.2, projection, ONE_METRE)
    torch.testing.assert_close(brighter, plain, atol=1e-4, rtol=0)


def test_chunks_change_nothing_and_sources_keep_their_order():
    current, sources = images(), torch.stack([images(1), images(2)], dim=1)
    projection = shift_projection(2.0).expand(1, 2, 4, 4)
    depths = torch.tensor([1.0, 2.0, 3.0])
    sweep = PatchVolume()
    volume = sweep(current, sources, projection, depths)
    chunked = PatchVolume(depth_chunk=2)(current, sources, projection, depths)
    torch.testing.assert_close(chunked, volume)
    for index in range(2):
        alone = sweep(current, sources[:, index : index + 1], projection[:, :1], depths)
        torch.testing.assert_close(alone[:, 0], volume[:, index])


def test_images_that_do_not_divide_into_cells_are_refused():
    with pytest.raises(ValueError, match=r"24, 40.*cells of 16"):
        PatchVolume(stride=16)(images(), images()[:, None], shift_projection(0), ONE_METRE)
