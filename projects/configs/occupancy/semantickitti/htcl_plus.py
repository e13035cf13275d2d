# htcl_egopose.py with patch correlation, depth correction by the history, residual fusion and
# sub-voxels.
_base_ = ["./htcl_egopose.py", "../../../../configs/_base_/models/htcl_plus.py"]

correlation_groups = 8
# Feature voxels of 0.4 m, labels of 0.2 m.
subvoxels = (2, 2, 2)
model = _base_.plus
