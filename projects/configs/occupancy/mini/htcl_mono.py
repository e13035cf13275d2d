# One image at toy size: no stereo, no history.
_base_ = ["./stereoscene.py"]

model = dict(stereo=None, depth_fusion=None)
