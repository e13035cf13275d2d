_base_ = "../../projects/configs/occupancy/mini/htcl_mono.py"

custom_imports = dict(imports=["htcl.plugin", "docs.examples.garage"])

dataset_type = "GarageDataset"
specification = "Garage"
data_root = "data/garage"
train_sequences = val_sequences = test_sequences = None
class_weights = None

# No lidar: voxels alone teach.
model = dict(
    point_head=None,
    losses=[
        loss
        for loss in _base_.model.losses
        if loss["type"] in ("VoxelCrossEntropy", "SemanticScal", "GeometricScal")
    ],
)
