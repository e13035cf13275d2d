"""Cells of the searched stereo networks."""

import pytest
import torch

from htcl.models.fast_layers import fold_batch_norms
from htcl.models.layers.search_cells import conv_bn_relu, project_resized, resize


@pytest.mark.parametrize(
    ("dims", "small", "large"), ((2, (3, 4), (5, 8)), (3, (2, 3, 4), (4, 5, 8)))
)
@pytest.mark.parametrize("training", (True, False))
def test_projection_before_growing(dims, small, large, training):
    """The order of a 1x1 convolution and an interpolation changes nothing, nor does a bias."""
    torch.manual_seed(0)
    projection = conv_bn_relu(dims, 6, 3, kernel_size=1).double().train(training)
    x = torch.randn(2, 6, *small, dtype=torch.float64)
    expected = projection(resize(x, large))
    torch.testing.assert_close(project_resized(projection, x, large), expected)
    grown = torch.randn(2, 6, *large, dtype=torch.float64)
    torch.testing.assert_close(
        project_resized(projection, grown, small), projection(resize(grown, small))
    )
    if not training:
        projection.bn.bias.data.fill_(0.5)
        expected = projection(resize(x, large))
        folded = fold_batch_norms(projection)
        assert folded.conv.bias is not None
        torch.testing.assert_close(project_resized(folded, x, large), expected)
