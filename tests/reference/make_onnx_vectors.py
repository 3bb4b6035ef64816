"""Write onnx_conv_transpose.json: ONNX's own ConvTranspose node tests, along each of their axes.

A node test of two or three dimensions becomes one test for each axis: its attributes there, on
numbers of ours, evaluated by ONNX's reference evaluator. The test of one dimension is as it is.

Run it where onnx is installed: python tests/reference/make_onnx_vectors.py
"""

import json
import warnings
from pathlib import Path

import numpy as np
import onnx  # pyright: ignore[reportMissingImports]
from onnx.backend.test.case.node import (  # pyright: ignore[reportMissingImports]
    collect_testcases,
)
from onnx.reference import ReferenceEvaluator  # pyright: ignore[reportMissingImports]
from torch_cases import numbers

MORE = {  # what the node tests leave out: name -> attributes, length, taps
    "same_lower_odd": ({"auto_pad": "SAME_LOWER", "strides": [2]}, 4, 5),
    "same_upper_odd_dilated": ({"auto_pad": "SAME_UPPER", "strides": [2], "dilations": [3]}, 4, 3),
    "output_shape_upper": ({"output_shape": [8], "strides": [2], "auto_pad": "SAME_UPPER"}, 4, 5),
    "pads_unequal": ({"pads": [1, 3], "strides": [3], "output_padding": [2]}, 5, 4),
}  # fmt: skip


def main():
    with warnings.catch_warnings(action="ignore"):  # of other operators' tests
        found = collect_testcases("ConvTranspose")
    records, seen = [], []
    for case in found:
        node = case.model.graph.node[0]
        given = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        (x, w, *_), (y,) = case.data_sets[0]
        if x.ndim == 3:
            records.append(record(case.name, given, x, w, y))
        for axis in range(x.ndim - 2):
            attributes = {name: along(name, value, axis) for name, value in given.items()}
            shapes = (*x.shape[:2], x.shape[2 + axis]), (*w.shape[:2], w.shape[2 + axis])
            if (attributes, shapes) not in seen:
                seen.append((attributes, shapes))
                records.append(evaluated(f"{case.name}.{axis}", attributes, *shapes))
    for name, (attributes, length, taps) in MORE.items():
        records.append(evaluated(name, attributes, (2, 3, length), (3, 2, taps)))
    text = ",\n".join(json.dumps(one) for one in records)
    Path(__file__).with_name("onnx_conv_transpose.json").write_text(f"[\n{text}\n]\n")


def along(name, value, axis):
    """An attribute of a node as that of a node with only one of its axes."""
    if isinstance(value, bytes):
        return value.decode()
    if name == "pads":
        return [value[axis], value[axis + len(value) // 2]]
    return [value[axis]] if isinstance(value, list) else value


def evaluated(name, attributes, x_shape, w_shape):
    x, w = numbers(x_shape, 4), numbers(w_shape, 1)
    double = onnx.TensorProto.DOUBLE
    values = [onnx.helper.make_tensor_value_info(n, double, None) for n in "xwy"]
    node = onnx.helper.make_node("ConvTranspose", ["x", "w"], ["y"], **attributes)
    graph = onnx.helper.make_graph([node], "one", values[:2], values[2:])
    [y] = ReferenceEvaluator(onnx.helper.make_model(graph)).run(None, {"x": x, "w": w})
    return record(name, attributes, x, w, np.asarray(y))


def record(name, attributes, x, w, y):
    return {"name": name, "attributes": attributes} | {
        letter: array.tolist() for letter, array in zip("xwy", (x, w, y), strict=True)
    }


if __name__ == "__main__":
    main()
