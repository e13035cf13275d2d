from __future__ import annotations

import numpy as np
import pytest
import trimesh

from mini_kitti.assets import solids
from mini_kitti.assets.materials import Material
from mini_kitti.assets.mesh import Mesh
from mini_kitti.assets.raw_labels import RawLabel
from mini_kitti.assets.surface import Surface

SURFACE = Surface(RawLabel.CAR, Material.PAINT, (0.5, 0.5, 0.5))
PROFILE = [(0.0, 0.0), (4.0, 0.0), (4.0, 1.0), (0.0, 1.0)]
# A prism through a regular 14-gon, in shares of its circle's area.
POLYGON = 7 / np.pi * np.sin(2 * np.pi / 14)


@pytest.mark.parametrize(
    ("mesh", "volume", "size"),
    [
        (solids.box((5, 6, 7), (1, 2, 3), SURFACE), 6.0, (1, 2, 3)),
        (solids.box((0, 0, 0), (1, 2, 3), SURFACE, (0.5, 0.5)), 6 * 7 / 12, (1, 2, 3)),
        (solids.prism(PROFILE, 2.0, SURFACE), 8.0, (4, 2, 1)),
        (solids.prism(PROFILE, 2.0, SURFACE, top_width=1.0), 6.0, (4, 2, 1)),
        (solids.cylinder((1, 1, 0), (1, 1, 2), 1.0, SURFACE, sides=4), 4.0, (2, 2, 2)),
        (solids.cylinder((0, 0, 0), (0, 0, 3), 1.0, SURFACE, 0.5, 4), 3.5, (2, 2, 3)),
        (solids.ring((0, 0, 1), 1.0, 0.5, 0.2, SURFACE), 0.15 * np.pi * POLYGON, (2, 0.2, 1.95)),
        (solids.ellipsoid((1, 2, 3), (1, 2, 3), SURFACE, 64, 64), 8 * np.pi, (2, 4, 6)),
    ],
)
def test_solids_are_closed_face_outwards_and_have_their_size(
    mesh: Mesh, volume: float, size: tuple[float, float, float]
) -> None:
    solid = trimesh.Trimesh(**trimesh.triangles.to_kwargs(mesh.corners))
    solid.merge_vertices(merge_norm=True, merge_tex=True)
    solid.update_faces(solid.nondegenerate_faces())
    assert solid.is_volume
    assert solid.volume == pytest.approx(volume, rel=0.01)
    assert solid.extents == pytest.approx(size, abs=0.01)


def test_round_solids_have_smooth_normals() -> None:
    ball = solids.ellipsoid((0, 0, 0), (2, 2, 2), SURFACE)
    assert np.allclose(ball.normals, ball.corners / 2)
    pipe = solids.cylinder((0, 0, -1), (0, 0, 1), 0.5, SURFACE, caps=False)
    assert np.allclose(pipe.normals, pipe.corners * (2, 2, 0))


def test_texture_goes_around_a_cylinder_in_metres() -> None:
    mesh = solids.cylinder((0, 0, 0), (0, 0, 3), 0.5, SURFACE, caps=False)
    assert mesh.uv.min(axis=(0, 1)) == pytest.approx((0, 0))
    assert mesh.uv.max(axis=(0, 1)) == pytest.approx((np.pi, 3))
