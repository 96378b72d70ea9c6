"""Loads a bundle with Debian's python3-protobuf and python3-numpy, and prints what is in it.

    protoc --python_out=. -I proto proto/ddnn/v1/network.proto proto/ddnn/v1/bundle.proto
    PYTHONPATH=. python3 tools/examples/load_bundle.py out/demo/bundle

The first ten lines load and check it; docs/python.md goes through them.
"""
import hashlib, pathlib, sys
from google.protobuf import text_format
from ddnn.v1 import bundle_pb2
folder = pathlib.Path(sys.argv[1])
manifest = text_format.Parse((folder / "bundle.textproto").read_text(), bundle_pb2.BundleManifest())
sections = {}
for file in manifest.section:
    data = (folder / file.path).read_bytes()
    assert hashlib.sha256(data).hexdigest() == file.sha256, f"{file.path} is damaged"
    sections[file.tier, file.node] = bundle_pb2.Section.FromString(data)

import numpy as np


def conv_weights(layer, binary, channels):
    """[filters, channels, kernel, kernel]: -1 and +1 out of bits where it is binary, else floats."""
    shape = (layer.filters, channels, layer.kernel, layer.kernel)
    raw = np.frombuffer(layer.weights, np.uint8 if binary else "<f4")
    if binary:
        raw = np.unpackbits(raw, count=int(np.prod(shape)), bitorder="little") * 2.0 - 1
    return raw.reshape(shape)


network = manifest.network
print(f"{network.name}: {network.views} views, classes {', '.join(network.class_name)}")
for threshold in manifest.threshold:
    print(f"exit {threshold.exit}: up to an entropy of {threshold.entropy:.6f}")
for (tier, node), section in sections.items():
    for part in ("scores", "body", "head"):
        kinds = [layer.WhichOneof("kind") for layer in getattr(section, part)]
        print(f"{tier}-{node} {part}: {', '.join(kinds) or 'nothing'}")
    first = section.body[0].WhichOneof("kind") if section.body else ""
    if tier == network.tier[0].name and first.endswith("conv"):
        layer = getattr(section.body[0], first)
        w = conv_weights(layer, first == "binary_conv", network.input.channels)
        print(f"{tier}-{node} looks with weights {w.shape}, sum {w.sum():.4f}")
