from __future__ import annotations

import pytest
import torch

from htcl.ops import affine_inverse, standard_operators


@pytest.mark.parametrize("size", (3, 4))
@pytest.mark.parametrize("standard", (False, True))
def test_inverse(size, standard):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(2, 5, size, size, generator=generator, dtype=torch.float64)
    if size == 4:
        matrix[..., 3, :] = torch.tensor([0.0, 0, 0, 1])
    if standard:
        with standard_operators():
            inverse = affine_inverse(matrix)
    else:
        inverse = affine_inverse(matrix)
    torch.testing.assert_close(inverse @ matrix, torch.eye(size).double().expand_as(matrix))


def test_by_hand():
    """x' = 2 x + 3 and its inverse x = x' / 2 - 3 / 2."""
    matrix = torch.eye(4)
    matrix[0, 0], matrix[0, 3] = 2, 3
    with standard_operators():
        inverse = affine_inverse(matrix)
    assert inverse.dtype == torch.float64
    assert inverse[0].tolist() == [0.5, 0, 0, -1.5]
