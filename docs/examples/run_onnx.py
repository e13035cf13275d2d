"""Runs an exported network with onnxruntime and numpy alone, on the inputs that the export kept.

python docs/examples/run_onnx.py net.onnx sample.npz prediction.npy
"""

import json
import sys

import numpy as np
import onnxruntime


def main(program: str, sample: str, out: str) -> None:
    """Predicts a sample, prints what fills the scene and saves the classes, uint8 (X, Y, Z)."""
    session = onnxruntime.InferenceSession(program, providers=["CPUExecutionProvider"])
    facts = json.loads(session.get_modelmeta().custom_metadata_map["htcl"])
    with np.load(sample, allow_pickle=False) as file:
        inputs = {name: file[name] for name in facts["inputs"]}
    semantics, score, depth = session.run(facts["outputs"], inputs)
    counts = np.bincount(semantics.ravel(), minlength=len(facts["classes"]))
    for name, count in zip(facts["classes"], counts, strict=True):
        print(f"{name:>16} {count:8d} voxels")
    print(f"logits up to {score.max():.1f}, depths from {depth.min():.1f} to {depth.max():.1f} m")
    np.save(out, semantics[0])


if __name__ == "__main__":
    main(*sys.argv[1:4])
