"""The two networks and the loop that trains them."""

from dataclasses import dataclass

import numpy as np

from layers import AveragePool, BatchNorm, Conv, Dense, Flatten, MaxPool, ReLU, cross_entropy


@dataclass(frozen=True)
class Recipe:
    """Hyper-parameters, chosen on the validation part alone."""

    seed: int
    epochs: int
    batch: int
    rate: float
    decay: float
    smoothing: float


def digits_layers(generator):
    """LeNet style: 8x8 -> 8 maps -> max 4x4 -> 16 maps -> average 2x2 -> 32 -> 10."""
    return [
        Conv(generator, 1, 8, 3, 1), BatchNorm(8), ReLU(), MaxPool(2, 2),
        Conv(generator, 8, 16, 3, 1), BatchNorm(16), ReLU(), AveragePool(3, 1),
        Flatten(), Dense(generator, 64, 32), ReLU(), Dense(generator, 32, 10),
    ]


def breast_cancer_layers(generator):
    """Multi-layer perceptron 30-16-8-2."""
    return [
        Dense(generator, 30, 16), ReLU(), Dense(generator, 16, 8), ReLU(), Dense(generator, 8, 2),
    ]


RECIPES = {
    "digits": (digits_layers, Recipe(1, 60, 32, 4e-3, 0.25, 0.1)),
    "breast-cancer": (breast_cancer_layers, Recipe(1, 60, 32, 4e-3, 2.5, 0.05)),
}


def run(layers, x, training=False):
    for layer in layers:
        x = layer.forward(x, training)
    return x


class Adam:
    """Adam with decoupled weight decay on matrices and kernels."""

    def __init__(self, layers, decay):
        self.slots = [(layer, name) for layer in layers for name in layer.params]
        self.first = [np.zeros_like(layer.params[name]) for layer, name in self.slots]
        self.second = [np.zeros_like(moment) for moment in self.first]
        self.decay, self.steps = decay, 0

    def step(self, rate):
        self.steps += 1
        for (layer, name), first, second in zip(self.slots, self.first, self.second):
            gradient, value = layer.grads[name], layer.params[name]
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient * gradient - second)
            update = first / (1 - 0.9**self.steps)
            update /= np.sqrt(second / (1 - 0.999**self.steps)) + 1e-8
            if name == "weight":
                update += self.decay * value
            value -= rate * update


def train(name, x, labels):
    """Trained layers. Deterministic for given inputs: one seed, one thread."""
    build, recipe = RECIPES[name]
    generator = np.random.default_rng(recipe.seed)
    layers = build(generator)
    optimiser = Adam(layers, recipe.decay)
    x = x.astype(np.float64)
    batches = len(x) // recipe.batch
    for epoch in range(recipe.epochs):
        order = generator.permutation(len(x))
        for k in range(batches):
            chosen = order[k * recipe.batch:(k + 1) * recipe.batch]
            progress = (epoch * batches + k) / (recipe.epochs * batches)
            logits = run(layers, x[chosen], True)
            _, gradient = cross_entropy(logits, labels[chosen], recipe.smoothing)
            for layer in reversed(layers):
                gradient = layer.backward(gradient)
            optimiser.step(recipe.rate * 0.5 * (1 + np.cos(np.pi * progress)))
    run(layers, x, "collect")
    return layers
