#!/usr/bin/env python3
"""Compares what athos computes in floats with onnxruntime.

    compare.py FOLDER    every model below FOLDER, as the example float_outputs of athos wrote it

Both compute in 32-bit floats and add in different orders. An output passes if it has the right shape and
no element is off by more than TOLERANCE of the largest element of the output; an index has to be equal.
Exit code 1 when something does not pass, or when there is nothing to compare.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

TOLERANCE = 1e-5


def reference(folder):
    """What onnxruntime returns for the input."""
    path = str(folder / "model.onnx")
    onnx.checker.check_model(path, full_check=True)
    options = onnxruntime.SessionOptions()
    # As the file says it, without fusions of its own.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    value, = session.run(None, {session.get_inputs()[0].name: np.load(folder / "input.npy")})
    return value


def difference(expected, got):
    """The largest difference, as a part of the largest element; infinite for another shape."""
    if expected.shape != got.shape:
        return np.inf
    if np.issubdtype(expected.dtype, np.integer):
        return 0.0 if np.array_equal(expected, got) else np.inf
    # What is not a number is larger than any tolerance.
    off = np.max(np.abs(expected.astype(np.float64) - got)) / max(np.max(np.abs(expected)), 1e-30)
    return off if np.isfinite(off) else np.inf


def main():
    folders = sorted(path.parent for path in Path(sys.argv[1]).rglob("model.onnx"))
    failed = 0
    for folder in folders:
        expected = reference(folder)
        off = [difference(expected, np.load(folder / name))
               for name in ("output.npy", "compiled.npy")]
        passed = max(off) <= TOLERANCE
        failed += not passed
        print(f"{'ok  ' if passed else 'FAIL'} {folder.name}: {tuple(expected.shape)}, off by "
              f"{off[0]:.1e} as read, {off[1]:.1e} compiled")
    print(f"{len(folders) - failed} of {len(folders)} models within {TOLERANCE:g} of onnxruntime "
          f"{onnxruntime.__version__}")
    sys.exit(1 if failed or not folders else 0)


if __name__ == "__main__":
    main()
