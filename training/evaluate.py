"""Evaluates the ONNX files in numpy: in float, and in fixed point as two parties would.

Shares no code with `layers.py`: what is checked is the file, not the trainer.
Understands the operators that `onnx_file.py` writes and refuses any other.

Fixed point: a real r is floor(r * 2^s); biases carry 2^(2s), as the products
they are added to; after each linear layer values are divided by 2^s and after a
window sum by the window's area, both rounding down; all values live in Z_{2^l}.
"""

from dataclasses import dataclass

import numpy as np
import onnx
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper


@dataclass(frozen=True)
class Node:
    op: str
    attributes: dict
    constants: list


def load(path):
    """The nodes of a chain `input` -> `logits`, BatchNormalization folded into Conv."""
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    tensors = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in model.graph.initializer}
    chain, value = [], "input"
    for node in model.graph.node:
        if node.input[0] != value:
            raise ValueError(f"{path}: node {node.name} does not continue the chain at {value}")
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        constants = [tensors[name] for name in node.input[1:]]
        if node.op_type == "BatchNormalization":
            chain.append(_folded(chain.pop(), constants, attributes["epsilon"]))
        else:
            chain.append(Node(node.op_type, attributes, constants))
        value = node.output[0]
    if value != "logits":
        raise ValueError(f"{path}: the last value is {value}, expected logits")
    return chain


def _folded(conv, statistics, epsilon):
    gain, shift, mean, variance = statistics
    factor = gain / np.sqrt(variance + epsilon)
    weight = conv.constants[0] * factor[:, None, None, None]
    return Node("Conv", conv.attributes, [weight, shift - mean * factor])


def float_logits(chain, x):
    """Logits in float64."""
    return _walk(chain, x.astype(np.float64), None)


@dataclass
class Ring:
    """Z_{2^bits} with scale 2^scale; `peak` is the largest |value| before reduction."""

    bits: int
    scale: int
    peak: int = 0

    def fixed(self, r, factor=1):
        return np.floor(r * 2.0 ** (factor * self.scale)).astype(np.int64)

    def reduce(self, x):
        """Representative in [-2^(l-1), 2^(l-1)); int64 itself wraps at 2^64, which 2^l divides."""
        self.peak = max(self.peak, int(np.abs(x).max()))
        half = 1 << (self.bits - 1)
        return ((x + half) & ((1 << self.bits) - 1)) - half


def fixed_logits(chain, x, bits, scale):
    """(integer logits, bits that the largest intermediate value needs, sign included)."""
    ring = Ring(bits, scale)
    out = _walk(chain, ring.reduce(ring.fixed(x.astype(np.float64))), ring)
    return out, ring.peak.bit_length() + 1


def _walk(chain, x, ring):
    for node in chain:
        if node.op in ("Conv", "Gemm"):
            weight, bias = node.constants
            if ring:
                weight, bias = ring.fixed(weight), ring.fixed(bias, 2)
            x = _conv(x, weight, bias, node.attributes) if node.op == "Conv" else x @ weight.T + bias
            x = ring.reduce(x) >> ring.scale if ring else x
        elif node.op == "Relu":
            x = np.maximum(x, 0)
        elif node.op == "MaxPool":
            x = _windows(x, node.attributes).max(axis=(-2, -1))
        elif node.op == "AveragePool":
            total = _windows(x, node.attributes).sum(axis=(-2, -1))
            area = np.prod(node.attributes["kernel_shape"])
            x = ring.reduce(total) // area if ring else total / area
        elif node.op == "Flatten":
            x = x.reshape(len(x), -1)
        else:
            raise ValueError(f"operator {node.op} is not known to this evaluator")
    return x


def _windows(x, attributes):
    rows, columns = attributes["strides"]
    views = sliding_window_view(x, tuple(attributes["kernel_shape"]), axis=(2, 3))
    return views[:, :, ::rows, ::columns]


def _conv(x, weight, bias, attributes):
    top, left, bottom, right = attributes["pads"]
    padded = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)))
    windows = _windows(padded, attributes)
    return np.einsum("nchwij,ocij->nohw", windows, weight) + bias[:, None, None]
