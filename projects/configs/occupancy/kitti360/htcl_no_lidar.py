# htcl_egopose.py for a copy of the benchmark as it comes, which has no lidar scans.
_base_ = ["./htcl_egopose.py", "../../../../configs/_base_/models/no_lidar.py"]

model = _base_.no_lidar
