# Stereo without history at toy size.
_base_ = ["./htcl_egopose.py"]

num_history = 0
model = dict(temporal=None, temporal_fusion=None)
