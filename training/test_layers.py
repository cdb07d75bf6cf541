"""Gradients against finite differences; the PNG reader; the ring against Python integers."""

import tempfile
import unittest
from pathlib import Path

import numpy as np

import assets
import data
import evaluate
import layers as kinds


class Gradients(unittest.TestCase):
    """d(sum(out * probe)) by the backward pass and by central differences."""

    def compare(self, layer, shape, training=True):
        generator = np.random.default_rng(7)
        x = generator.normal(size=shape)
        probe = generator.normal(size=layer.forward(x, training).shape)

        def value():
            return (layer.forward(x, training) * probe).sum()

        value()
        analytic = {"input": layer.backward(probe)} | layer.grads
        for name, array in ({"input": x} | layer.params).items():
            for index in generator.integers(0, array.size, 12):
                kept, step = array.flat[index], 1e-6
                array.flat[index] = kept + step
                above = value()
                array.flat[index] = kept - step
                below = value()
                array.flat[index] = kept
                numeric = (above - below) / (2 * step)
                self.assertAlmostEqual(analytic[name].flat[index], numeric, 5, f"{layer} {name}")

    def test_conv(self):
        for pad in (0, 1):
            self.compare(kinds.Conv(np.random.default_rng(1), 2, 3, 3, pad), (2, 2, 5, 6))

    def test_batch_norm(self):
        layer = kinds.BatchNorm(3)
        layer.params["gain"][:] = [0.5, 1.5, -2.0]
        self.compare(layer, (4, 3, 2, 3))

    def test_pools(self):
        for kernel, stride in ((2, 2), (3, 1), (2, 3)):
            self.compare(kinds.MaxPool(kernel, stride), (2, 3, 7, 6))
            self.compare(kinds.AveragePool(kernel, stride), (2, 3, 7, 6))

    def test_dense_relu_flatten(self):
        self.compare(kinds.Dense(np.random.default_rng(1), 5, 4), (3, 5))
        self.compare(kinds.ReLU(), (3, 5))
        self.compare(kinds.Flatten(), (3, 2, 2, 2))

    def test_cross_entropy(self):
        generator = np.random.default_rng(3)
        logits, labels = generator.normal(size=(4, 3)), np.array([0, 2, 1, 2])
        _, gradient = kinds.cross_entropy(logits, labels, 0.1)
        for index in np.ndindex(logits.shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = logits.copy()
                moved[index] += step
                sides.append(kinds.cross_entropy(moved, labels, 0.1)[0])
            self.assertAlmostEqual(gradient[index], (sides[0] - sides[1]) / 2e-6, 6)


class Files(unittest.TestCase):
    def test_png_round_trip(self):
        pixels = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "image.png")
            path.write_bytes(assets.png(pixels))
            np.testing.assert_array_equal(assets.read_png(path), pixels)

    def test_splits_are_a_partition(self):
        labels = np.arange(200) % 3
        parts = data.split(labels)
        np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(200))
        self.assertGreaterEqual(len(parts[2]), 50)

    def test_ring_reduction(self):
        for bits in (8, 32, 37, 63):
            ring = evaluate.Ring(bits, 0)
            half = 1 << (bits - 1)
            values = [0, 1, -1, half - 1, -half] + ([half, -half - 1, 5 * half] if bits < 61 else [])
            reduced = ring.reduce(np.array(values, dtype=np.int64))
            expected = [(v + half) % (2 * half) - half for v in values]
            self.assertEqual(reduced.tolist(), expected)


if __name__ == "__main__":
    unittest.main()
