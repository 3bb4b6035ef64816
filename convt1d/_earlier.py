"""What earlier versions wrote beside their weights, in the words of this one."""

import re
from typing import Any

_LAYOUT = (
    *("strides", "channels", "stride_kernels", "kernel_size", "latent_kernel_size"),
    *("dilations", "activation", "weight_norm"),
)
_RENAMED = (
    (re.compile(r"(^|\.)units\.(\d+)\."), r"\1branches.0.\2."),
    (re.compile(r"(branches\.0\.\d+)\.pointwise\."), r"\1.mixing."),
)


def renewed(model: Any) -> Any:
    """A model's description of format 1 as format 2 has it.

    Decoders and encoders said by themselves what is a `Layout` since; their dilated convolutions
    had as many taps as the one at the signal.
    """
    if not isinstance(model, dict) or not isinstance(model.get("arguments"), dict):
        return model
    arguments = {name: renewed(value) for name, value in model["arguments"].items()}
    if model.get("class") in ("Decoder", "Encoder"):
        layout = {name: arguments.pop(name) for name in _LAYOUT if name in arguments}
        layout["residual_kernels"] = [layout.get("kernel_size", 7)]
        arguments.pop("entry", None)  # dense is what has a length
        arguments["layout"] = {"class": "Layout", "arguments": layout}
    return {**model, "arguments": arguments}


def present_name(name: str) -> str:
    """What an array of format 1 is called in format 2."""
    for pattern, replacement in _RENAMED:
        name = pattern.sub(replacement, name)
    return name
