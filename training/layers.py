"""Layers with their gradients, in float64 numpy, NCHW.

Every layer has `forward(x, training)` and `backward(gradient)`; layers with
parameters list them in `params` and leave the matching gradients in `grads`.
`test_layers.py` compares every backward pass with finite differences.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Layer:
    def __init__(self):
        self.params, self.grads = {}, {}


class Conv(Layer):
    """Stride 1, square kernel, symmetric zero padding, no bias: BatchNorm follows."""

    def __init__(self, generator, inputs, outputs, kernel, pad):
        super().__init__()
        self.pad = pad
        spread = np.sqrt(2 / (inputs * kernel * kernel))
        self.params["weight"] = generator.normal(0, spread, (outputs, inputs, kernel, kernel))

    def forward(self, x, training):
        weight = self.params["weight"]
        kernel, pad = weight.shape[2], self.pad
        self.shape = x.shape
        padded = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
        windows = sliding_window_view(padded, (kernel, kernel), axis=(2, 3))
        n, c, h, w = windows.shape[:4]
        self.columns = windows.transpose(0, 2, 3, 1, 4, 5).reshape(n * h * w, -1)
        out = self.columns @ weight.reshape(len(weight), -1).T
        return out.reshape(n, h, w, -1).transpose(0, 3, 1, 2)

    def backward(self, gradient):
        weight = self.params["weight"]
        kernel, pad = weight.shape[2], self.pad
        n, o, h, w = gradient.shape
        rows = gradient.transpose(0, 2, 3, 1).reshape(-1, o)
        self.grads["weight"] = (rows.T @ self.columns).reshape(weight.shape)
        columns = (rows @ weight.reshape(o, -1)).reshape(n, h, w, -1, kernel, kernel)
        padded = np.zeros((n, self.shape[1], self.shape[2] + 2 * pad, self.shape[3] + 2 * pad))
        for i in range(kernel):
            for j in range(kernel):
                padded[:, :, i:i + h, j:j + w] += columns[:, :, :, :, i, j].transpose(0, 3, 1, 2)
        return padded[:, :, pad:pad + self.shape[2], pad:pad + self.shape[3]]


class BatchNorm(Layer):
    """Per channel. `collect` replaces the running statistics by those of a whole set."""

    EPSILON = 1e-5

    def __init__(self, channels):
        super().__init__()
        self.params = {"gain": np.ones(channels), "shift": np.zeros(channels)}
        self.mean, self.variance = np.zeros(channels), np.ones(channels)

    def forward(self, x, training):
        if training == "collect":
            self.mean, self.variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        mean, variance = self.mean, self.variance
        if training is True:
            mean, variance = x.mean(axis=(0, 2, 3)), x.var(axis=(0, 2, 3))
        self.inverse = 1 / np.sqrt(variance + self.EPSILON)
        self.normal = (x - mean[:, None, None]) * self.inverse[:, None, None]
        return self.normal * self.params["gain"][:, None, None] + self.params["shift"][:, None, None]

    def backward(self, gradient):
        self.grads["gain"] = (gradient * self.normal).sum(axis=(0, 2, 3))
        self.grads["shift"] = gradient.sum(axis=(0, 2, 3))
        count = gradient.shape[0] * gradient.shape[2] * gradient.shape[3]
        mean = self.grads["shift"] / count
        slope = self.grads["gain"] / count
        centred = gradient - mean[:, None, None] - self.normal * slope[:, None, None]
        return centred * (self.params["gain"] * self.inverse)[:, None, None]


class ReLU(Layer):
    def forward(self, x, training):
        self.positive = x > 0
        return x * self.positive

    def backward(self, gradient):
        return gradient * self.positive


class Pool(Layer):
    """Windows of `kernel` x `kernel` at distance `stride`, no padding."""

    def __init__(self, kernel, stride):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def windows(self, x):
        self.shape = x.shape
        kernel, stride = self.kernel, self.stride
        views = sliding_window_view(x, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
        return views.reshape(*views.shape[:4], kernel * kernel)

    def scatter(self, parts):
        """Adds parts[..., i*kernel+j] to the pixel (i, j) of each window."""
        kernel, stride = self.kernel, self.stride
        h, w = parts.shape[2:4]
        out = np.zeros(self.shape)
        for i in range(kernel):
            for j in range(kernel):
                rows = slice(i, i + stride * (h - 1) + 1, stride)
                columns = slice(j, j + stride * (w - 1) + 1, stride)
                out[:, :, rows, columns] += parts[..., i * kernel + j]
        return out


class MaxPool(Pool):
    def forward(self, x, training):
        windows = self.windows(x)
        self.first = windows.argmax(axis=-1)
        return windows.max(axis=-1)

    def backward(self, gradient):
        hit = self.first[..., None] == np.arange(self.kernel * self.kernel)
        return self.scatter(gradient[..., None] * hit)


class AveragePool(Pool):
    def forward(self, x, training):
        return self.windows(x).mean(axis=-1)

    def backward(self, gradient):
        area = self.kernel * self.kernel
        return self.scatter(np.repeat(gradient[..., None] / area, area, axis=-1))


class Flatten(Layer):
    def forward(self, x, training):
        self.shape = x.shape
        return x.reshape(len(x), -1)

    def backward(self, gradient):
        return gradient.reshape(self.shape)


class Dense(Layer):
    """x W^T + b with W of shape [outputs, inputs], as ONNX Gemm with transB = 1."""

    def __init__(self, generator, inputs, outputs):
        super().__init__()
        self.params["weight"] = generator.normal(0, np.sqrt(2 / inputs), (outputs, inputs))
        self.params["bias"] = np.zeros(outputs)

    def forward(self, x, training):
        self.x = x
        return x @ self.params["weight"].T + self.params["bias"]

    def backward(self, gradient):
        self.grads["weight"] = gradient.T @ self.x
        self.grads["bias"] = gradient.sum(axis=0)
        return gradient @ self.params["weight"]


def cross_entropy(logits, labels, smoothing):
    """Mean loss and its gradient, for labels smoothed by `smoothing` over all classes."""
    n, classes = logits.shape
    target = np.full((n, classes), smoothing / classes)
    target[np.arange(n), labels] += 1 - smoothing
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_total = np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    loss = -(target * (shifted - log_total)).sum() / n
    return loss, (np.exp(shifted - log_total) - target) / n
