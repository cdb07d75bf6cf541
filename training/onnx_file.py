"""Writes trained layers as ONNX: opset 13, IR version 8, float32, free batch dimension."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import layers as kinds

OPSET, IR_VERSION = 13, 8


def to_model(name, layers, input_shape, classes):
    """The ONNX model of a list of layers; nodes and initialisers are named by position."""
    nodes, tensors, counts = [], [], {}
    value = "input"

    def constant(node, role, array):
        tensors.append(numpy_helper.from_array(np.asarray(array, np.float32), f"{node}.{role}"))
        return tensors[-1].name

    for position, layer in enumerate(layers):
        kind, attributes, operands = _describe(layer)
        stem = kind.lower()
        counts[stem] = counts.get(stem, 0) + 1
        node = f"{stem}{counts[stem]}"
        out = "logits" if position == len(layers) - 1 else node
        inputs = [value] + [constant(node, role, array) for role, array in operands]
        nodes.append(helper.make_node(kind, inputs, [out], name=node, **attributes))
        value = out

    graph = helper.make_graph(
        nodes, name,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *input_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", classes])],
        tensors)
    model = helper.make_model(graph, producer_name="training", ir_version=IR_VERSION,
                              opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model, full_check=True)
    return model


def _describe(layer):
    """(operator, attributes, initialisers in operand order) of one layer."""
    match layer:
        case kinds.Conv():
            weight = layer.params["weight"]
            attributes = {"kernel_shape": list(weight.shape[2:]), "pads": [layer.pad] * 4,
                          "strides": [1, 1]}
            return "Conv", attributes, [("weight", weight)]
        case kinds.BatchNorm():
            operands = [("scale", layer.params["gain"]), ("bias", layer.params["shift"]),
                        ("mean", layer.mean), ("var", layer.variance)]
            return "BatchNormalization", {"epsilon": layer.EPSILON}, operands
        case kinds.ReLU():
            return "Relu", {}, []
        case kinds.MaxPool() | kinds.AveragePool():
            kind = "MaxPool" if isinstance(layer, kinds.MaxPool) else "AveragePool"
            return kind, {"kernel_shape": [layer.kernel] * 2, "strides": [layer.stride] * 2}, []
        case kinds.Flatten():
            return "Flatten", {"axis": 1}, []
        case kinds.Dense():
            operands = [("weight", layer.params["weight"]), ("bias", layer.params["bias"])]
            return "Gemm", {"transB": 1}, operands
    raise TypeError(f"no ONNX operator for {type(layer).__name__}")


def to_bytes(model):
    return model.SerializeToString(deterministic=True)
