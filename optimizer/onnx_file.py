"""Reads and checks an ONNX file: everything that can be said of it before its operators.

Functions of the model are written out where they are called. An old operator set is converted to
the oldest that onnxruntime computes. Sparse weights, and an operator set that the installed onnx
does not know, are refused.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner

from hwgen.errors import InputError
from hwgen.fields import LONGEST_PATH, shown
from optimizer import opsets
from optimizer.opsets import NEWEST, OLDEST

#: The two names of ONNX's own operator set.
STANDARD = ("", "ai.onnx")


#: The largest size of a window that is taken.
_MOST = 2**20


def read(path: Path) -> onnx.ModelProto:
    """The checked model of the file ``path``, its external weights loaded.

    InputError, one line, if the file is missing, unreadable, damaged or not ONNX, if its
    external weights are, or if it holds what the package does not take.
    """
    if not os.path.isfile(path):  # Which, other than Path's, takes names that no system has.
        raise InputError(
            f"network {shown(str(path), LONGEST_PATH)} is not a file: give the path of an ONNX file"
        )
    try:
        model = onnx.load(str(path), load_external_data=False)
    except OSError as error:
        raise InputError(
            f"network '{path}' cannot be read ({error.strerror or error}): make it readable"
        ) from error
    except Exception as error:  # protobuf's, whose class is not public, and the text forms'
        raise InputError(
            f"network '{path}' is not an ONNX file, or a damaged one ({one_line(error)}): give "
            "the whole file that torch.onnx.export or another exporter wrote"
        ) from error
    if (damaged := _not_text(model)) is not None:
        raise InputError(
            f"network '{path}' is a damaged file: {damaged!r} in it must be text and is not "
            "UTF-8, give the whole file that the exporter wrote"
        )
    if not model.graph.node:
        raise InputError(f"network '{path}' is empty: it has no nodes, give an exported network")
    try:
        # External weights are taken from the file's own folder.
        onnx.load_external_data_for_model(model, str(path.parent))
    except Exception as error:  # a missing file, a path outside the folder, a wrong length
        raise InputError(
            f"network '{path}' keeps weights in other files and they cannot be loaded "
            f"({one_line(error)}): put them into the network's folder, or export with all in one"
        ) from error
    _import_sets(model)
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker's, and protobuf's for text that is not UTF-8
        raise InputError(
            f"network '{path}' breaks the rules of ONNX ({one_line(error)}): export it again "
            "so that onnx.checker.check_model accepts it"
        ) from error
    _require_supported(model, path)
    _require_windows(model, path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    if opset(model) > NEWEST:
        # Most operators are the same in both; onnxruntime says which one it does not know.
        with contextlib.suppress(Exception):
            model = opsets.converted(model, NEWEST)
    return _newer(model, path) if opset(model) < OLDEST else model


def opset(model: onnx.ModelProto) -> int:
    """The version of ONNX's operator set that the checked ``model`` is written in."""
    versions = [int(i.version) for i in model.opset_import if i.domain in STANDARD]
    return versions[0] if versions else onnx.defs.onnx_opset_version()


def one_line(error: Exception) -> str:
    """An error of a library as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 300 else text[:297] + "..."


def _not_text(message: Any) -> bytes | None:
    """The first text of a protobuf message that is not UTF-8: Python gets it as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            texts = [value] if isinstance(value, str | bytes) else value
            damaged = next((text for text in texts if isinstance(text, bytes)), None)
        elif field.type == field.TYPE_MESSAGE:
            parts = [value] if hasattr(value, "ListFields") else value
            damaged = next((d for part in parts if (d := _not_text(part)) is not None), None)
        else:
            continue
        if damaged is not None:
            return damaged
    return None


def _require_windows(model: onnx.ModelProto, path: Path) -> None:
    """InputError for a window that has no size: onnxruntime would end the process with some."""
    for node in model.graph.node:
        for attribute in node.attribute:
            least = {"strides": 1, "dilations": 1, "kernel_shape": 1, "pads": -_MOST}
            if attribute.name in least and not all(
                least[attribute.name] <= n <= _MOST for n in attribute.ints
            ):
                raise InputError(
                    f"network '{path}': attribute {attribute.name}={list(attribute.ints)} of the "
                    f"operator {node.op_type} (node {node.name!r}) is of no window: export it again"
                )


def _import_sets(model: onnx.ModelProto) -> None:
    """Sets of operators other than ONNX's that the file uses and does not import, as QONNX's do."""
    known = {i.domain for i in model.opset_import}
    for node in model.graph.node:
        if node.domain not in known and node.domain not in STANDARD:
            known.add(node.domain)
            model.opset_import.append(onnx.helper.make_opsetid(node.domain, 1))


def _newer(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model in an operator set that onnxruntime knows."""
    try:
        return opsets.converted(model)
    except Exception as error:  # the converter's: an operator that it has no rule for
        raise InputError(
            f"network '{path}' is written in opset {opset(model)}, which onnxruntime does not "
            f"know, and it cannot be converted ({one_line(error)}): export it in opset {OLDEST} or "
            "later"
        ) from error


def _require_supported(model: onnx.ModelProto, path: Path) -> None:
    versions = list(dict.fromkeys(i.version for i in model.opset_import if i.domain in STANDARD))
    newest = onnx.defs.onnx_opset_version()
    if len(versions) > 1 or not all(1 <= version <= newest for version in versions):
        raise InputError(
            f"network '{path}' is written in opset {', '.join(map(str, versions))}; supported is "
            f"one of 1 to {newest}, what the installed onnx knows: export it in one of these"
        )
    for node in model.graph.node:
        # Only within a function's body; the checker lets it pass outside.
        for attribute in node.attribute:
            if attribute.ref_attr_name:
                raise InputError(
                    f"network '{path}': attribute {attribute.name} of the operator {node.op_type} "
                    f"(node {node.name!r}) refers to {attribute.ref_attr_name!r} of a function "
                    "that is not there: export it again"
                )
    if model.graph.sparse_initializer:
        name = model.graph.sparse_initializer[0].values.name
        raise InputError(
            f"network '{path}' has sparse weights ({name!r}), which are not supported: export "
            "them as full tensors"
        )
