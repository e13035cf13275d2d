# semantickitti/htcl_points.py at toy size.
_base_ = ["./htcl_egopose.py", "../../../../configs/_base_/models/htcl_points.py"]

correlation_groups = 4
# Feature voxels of 0.8 m, labels of 0.2 m; surfaces are thinnest along z.
subvoxels = (2, 2, 4)
model = _base_.plus
