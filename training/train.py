#!/usr/bin/env python3
"""Trains the two embedded models and writes them with their inputs to sci-run/assets.

    train.py             train on training + validation, report the test accuracy, write
    train.py --validate  train on the training part, report the validation accuracy only
    train.py --check     re-evaluate the files as they lie there; train nothing

Exit code 1 when an accuracy is below its bound or a file is not as expected.
"""

import os

# One thread, before numpy is loaded: sums in the same order on every run.
for library in ("OPENBLAS", "OMP", "MKL", "BLIS", "VECLIB_MAXIMUM"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import argparse
import hashlib
import sys
import tomllib
from pathlib import Path

import numpy as np

import assets
import data
import evaluate
import networks
import onnx_file

ASSETS = Path(__file__).resolve().parent.parent / "sci-run" / "assets"
BOUNDS = {"digits": 0.97, "breast-cancer": 0.95}
LOADERS = {"digits": data.digits, "breast-cancer": data.breast_cancer}
SCALE = 12
BITWIDTHS = (37, 32)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    modes = parser.add_mutually_exclusive_group()
    modes.add_argument("--validate", action="store_true", help="report validation accuracy only")
    modes.add_argument("--check", action="store_true", help="re-evaluate the files, train nothing")
    arguments = parser.parse_args()
    failures = []
    for name, load in LOADERS.items():
        samples = load()
        training, validation, test = data.split(samples.labels)
        if arguments.validate:
            validate(samples, training, validation)
            continue
        if not arguments.check:
            write(samples, np.concatenate([training, validation]), test)
        failures += check(samples, np.concatenate([training, validation]), test)
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


def validate(samples, training, validation):
    """The figure by which hyper-parameters were chosen; the test part stays unseen."""
    pre = data.preprocessing(samples, training)
    layers = networks.train(samples.name, data.to_input(samples.raw[training], pre),
                            samples.labels[training])
    logits = networks.run(layers, data.to_input(samples.raw[validation], pre).astype(np.float64))
    print(f"{samples.name}: validation {rate(logits, samples.labels[validation])}")


def write(samples, fit, test):
    pre = data.preprocessing(samples, fit)
    x = data.to_input(samples.raw[fit], pre)
    layers = networks.train(samples.name, x, samples.labels[fit])
    model = onnx_file.to_model(samples.name, layers, x.shape[1:], len(samples.classes))
    assets.write(ASSETS / samples.name, samples, data.held_out(samples, test), pre,
                 onnx_file.to_bytes(model))


def check(samples, fit, test):
    """Prints what the files of one model do; returns what is wrong with them."""
    folder, name, failures = ASSETS / samples.name, samples.name, []
    body = (folder / "model.onnx").read_bytes()
    print(f"{name}: model.onnx {len(body)} bytes, sha256 {hashlib.sha256(body).hexdigest()}")
    pre = tomllib.loads((folder / "preprocess.toml").read_text())
    if pre != data.preprocessing(samples, fit):
        failures.append(f"{name}: preprocess.toml is not the one fitted on the training samples")

    stored, labels = assets.read_inputs(folder)
    chosen = data.held_out(samples, test)
    if np.isin(chosen, fit).any():
        failures.append(f"{name}: an embedded input is a training sample")
    if not (np.array_equal(stored, samples.raw[chosen])
            and np.array_equal(labels, samples.labels[chosen])):
        failures.append(f"{name}: embedded inputs or labels are not the held-out samples")

    chain = evaluate.load(folder / "model.onnx")
    x = data.to_input(samples.raw[test], pre)
    truth = samples.labels[test]
    expected = evaluate.float_logits(chain, x)
    print(f"{name}: float           test {rate(expected, truth)}, "
          f"embedded {rate(evaluate.float_logits(chain, data.to_input(stored, pre)), labels)}")
    if (expected.argmax(axis=1) == truth).mean() < BOUNDS[name]:
        failures.append(f"{name}: test accuracy below {BOUNDS[name]:.0%}")

    for bits in BITWIDTHS:
        logits, needed = evaluate.fixed_logits(chain, x, bits, SCALE)
        embedded, _ = evaluate.fixed_logits(chain, data.to_input(stored, pre), bits, SCALE)
        changed = int((logits.argmax(axis=1) != expected.argmax(axis=1)).sum())
        error = np.abs(logits / 2.0**SCALE - expected).max()
        print(f"{name}: l={bits} s={SCALE}       test {rate(logits, truth)}, "
              f"embedded {rate(embedded, labels)}, {changed} predictions differ from float, "
              f"largest logit error {error:.4f}, values need {needed} bits")
        # max(x, y) and the sign of x - y need one bit more than the values themselves.
        if needed + 1 > bits:
            failures.append(f"{name}: values need {needed} bits, {bits} leave no room to compare")
        if (logits.argmax(axis=1) == truth).mean() < BOUNDS[name]:
            failures.append(f"{name}: fixed-point accuracy at l={bits} below {BOUNDS[name]:.0%}")
    return failures


def rate(logits, labels):
    hits = int((logits.argmax(axis=1) == labels).sum())
    return f"{hits}/{len(labels)} ({hits / len(labels):.2%})"


if __name__ == "__main__":
    sys.exit(main())
