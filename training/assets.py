"""Writes and reads what lies beside a model: preprocessing, inputs, labels.

PNG and TOML are written by hand so that the files depend on nothing but this
script (zlib's stored blocks: no compressor version can change a byte).
"""

import csv
import io
import json
import struct
import zlib
from pathlib import Path

import numpy as np


def png(pixels):
    """An 8-bit grey PNG of a uint8 matrix."""
    height, width = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    chunk = lambda kind, body: (struct.pack(">I", len(body)) + kind + body
                                + struct.pack(">I", zlib.crc32(kind + body)))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 0))
            + chunk(b"IEND", b""))


def read_png(path):
    """The pixels of a file that `png` wrote (one IDAT, no filter)."""
    body = path.read_bytes()
    width, height = struct.unpack(">II", body[16:24])
    length = struct.unpack(">I", body[33:37])[0]
    rows = np.frombuffer(zlib.decompress(body[41:41 + length]), np.uint8)
    return rows.reshape(height, width + 1)[:, 1:]


def table(header, rows):
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return out.getvalue()


def toml(pre, comment):
    """Flat TOML: strings, numbers and lists of them are written as in JSON."""
    lines = [f"# {line}" for line in comment] + [f"{key} = {_value(v)}" for key, v in pre.items()]
    return "\n".join(lines) + "\n"


def _value(value):
    if isinstance(value, list) and len(value) > 10:
        return "[\n" + "".join(f"  {json.dumps(entry)},\n" for entry in value) + "]"
    return json.dumps(value)


def write(folder, data, chosen, pre, model_bytes):
    """All files of one model under `folder`; stale inputs are removed."""
    inputs = folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    for stale in inputs.iterdir():
        stale.unlink()
    names = []
    for position, index in enumerate(chosen):
        names.append(f"{position:02}.{'png' if data.features is None else 'csv'}")
        if data.features is None:
            (inputs / names[-1]).write_bytes(png(data.raw[index, 0]))
        else:
            row = [repr(float(v)) for v in data.raw[index]]
            (inputs / names[-1]).write_text(table(data.features, [row]))
    (folder / "labels.csv").write_text(
        table(["file", "label"], zip(names, data.labels[chosen])))
    (folder / "preprocess.toml").write_text(toml(pre, [
        "Public preprocessing of this model, written by training/train.py.",
        "A stored value p of channel or feature c becomes (p*scale - mean[c]) / std[c],",
        "computed in float64 and rounded once to float32.",
    ]))
    (folder / "model.onnx").write_bytes(model_bytes)


def read_inputs(folder):
    """(stored values of all inputs in order, labels)."""
    with open(folder / "labels.csv", newline="") as file:
        entries = list(csv.DictReader(file))
    stored = []
    for entry in entries:
        path = Path(folder, "inputs", entry["file"])
        if path.suffix == ".png":
            stored.append(read_png(path)[None])
        else:
            with open(path, newline="") as file:
                stored.append(np.array(list(csv.reader(file))[1], dtype=np.float64))
    return np.stack(stored), np.array([int(entry["label"]) for entry in entries])
