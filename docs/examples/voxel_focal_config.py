_base_ = "../../projects/configs/occupancy/mini/stereoscene.py"

custom_imports = dict(imports=["htcl.plugin", "docs.examples.voxel_focal"])

model = dict(losses=[*_base_.model.losses, dict(type="VoxelFocal", gamma=2.0, weight=0.5)])
