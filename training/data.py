"""The two data sets, their splits and the ten inputs that travel with each model.

Both sets are bundled with scikit-learn, so nothing is downloaded. Splits are
stratified by class and depend on `SPLIT_SEED` alone: changing how a network is
trained cannot move a sample from one part to another.

    test        25 %  looked at once, for the figure in the README
    validation  15 %  for choosing hyper-parameters (`train.py --validate`)
    training    60 %  the final networks are trained on training + validation
"""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits

SPLIT_SEED = 2020
TEST_SHARE = 0.25
VALIDATION_SHARE = 0.15

# scikit-learn's digits are 0..16; an 8-bit PNG stores 15 times that (0..240).
GREY_PER_STEP = 15
GREY_MAX = 16 * GREY_PER_STEP


@dataclass(frozen=True)
class Data:
    """`raw` is what a client stores; `features` names columns of a table, else None."""

    name: str
    raw: np.ndarray
    labels: np.ndarray
    classes: list
    features: list | None


def digits():
    """1,797 grey images of 8x8, as the uint8 pixels of the PNG files, [N,1,8,8]."""
    bunch = load_digits()
    pixels = np.rint(bunch.images * GREY_PER_STEP).astype(np.uint8)
    return Data("digits", pixels[:, None], bunch.target, [str(k) for k in range(10)], None)


def breast_cancer():
    """569 rows of 30 measurements of cell nuclei, as scikit-learn gives them."""
    bunch = load_breast_cancer()
    features = [str(name).replace(" ", "_") for name in bunch.feature_names]
    return Data("breast-cancer", bunch.data, bunch.target, list(map(str, bunch.target_names)), features)


def split(labels):
    """Index arrays (training, validation, test), each in seeded random order."""
    generator = np.random.default_rng(SPLIT_SEED)
    parts = ([], [], [])
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        tests = int(np.ceil(TEST_SHARE * len(members)))
        validations = int(np.ceil(VALIDATION_SHARE * len(members)))
        bounds = np.split(members, [tests, tests + validations])
        for part, chosen in zip(parts, (bounds[2], bounds[1], bounds[0])):
            part.append(chosen)
    return tuple(generator.permutation(np.concatenate(part)) for part in parts)


def held_out(data, test):
    """Ten test samples by position in the seeded order, whatever a network says of them.

    Digits: the first of each class, in class order. Table: the first ten rows.
    """
    if data.features is not None:
        return test[:10]
    return np.array([test[np.flatnonzero(data.labels[test] == label)[0]] for label in range(10)])


def preprocessing(data, fit):
    """The public preprocessing, fitted on the samples `fit` alone.

    A stored value p of channel (or feature) c becomes (p*scale - mean[c]) / std[c].
    """
    if data.features is None:
        return {"kind": "image", "size": [8, 8], "order": "GRAY", "scale": 1 / GREY_MAX,
                "mean": [0.0], "std": [1.0], "classes": data.classes}
    # Six significant digits are enough and keep the file readable.
    rounded = lambda values: [float(f"{v:.6g}") for v in values]
    return {"kind": "tensor", "size": [len(data.features)], "scale": 1.0,
            "mean": rounded(data.raw[fit].mean(axis=0)), "std": rounded(data.raw[fit].std(axis=0)),
            "classes": data.classes}


def to_input(raw, pre):
    """Network inputs: computed in float64, rounded once to float32."""
    shape = (1, -1) + (1,) * (raw.ndim - 2)
    mean, std = (np.asarray(pre[key], dtype=np.float64).reshape(shape) for key in ("mean", "std"))
    return ((raw.astype(np.float64) * pre["scale"] - mean) / std).astype(np.float32)
