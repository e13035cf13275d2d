_base_ = "../../projects/configs/occupancy/mini/stereoscene.py"

custom_imports = dict(imports=["htcl.plugin", "docs.examples.voxel_sampling"])

model = dict(view_transformer=dict(type="VoxelSampling"))
