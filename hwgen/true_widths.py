"""RTLIL whose operators have operands of their full widths, for Verilog without warnings.

Amaranth gives an operator operands of their own widths and leaves it to the language to extend
them, which linters of Verilog warn of. Here each operand that is narrower than the operator is
extended in the text, by zeros or by its sign, as the language would: the hardware is the same.
Factors stay as they are: the width of a product is that of both together, and synthesis tools
choose multipliers by their widths. Comparisons that the formats at hand decide, such as x >= 0 of
an unsigned x, become what they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

#: Whose operands have the width of the result, and which.
_BY_RESULT = {
    **dict.fromkeys(("$add", "$sub", "$and", "$or", "$xor", "$xnor"), "AB"),
    **dict.fromkeys(("$neg", "$not", "$pos", "$shl", "$shr", "$sshl", "$sshr"), "A"),
}
#: Whose operands have the width of the wider one.
_COMPARISONS = ("$eq", "$ne", "$lt", "$le", "$gt", "$ge")

#: An operand, the digit of the constants with which the comparison is decided, and as what; with
#: the other operand it is so with the other digit.
_BOUNDS = {"$ge": ("B", "0", 1), "$lt": ("B", "0", 0), "$le": ("A", "0", 1), "$gt": ("A", "0", 0)}

#: A constant, or nothing: a value of no bits is zero.
_ZERO = re.compile(r"\{  \}|\d+'0+")

_CELL = re.compile(r"^  cell (\$\w+) \S+\n(?:    .*\n)*?  end\n", re.MULTILINE)
_PARAMETER = re.compile(r"^    parameter \\(\w+) (\d+)$", re.MULTILINE)
_CONNECTION = re.compile(r"^    connect \\(\w+) (.+)$", re.MULTILINE)
_WIRE = re.compile(r"^  wire width (\d+) (?:[a-z]+ (?:\d+ )?)*([\\$]\S+)$", re.MULTILINE)
_MODULE = re.compile(r"^module .*?^end$", re.MULTILINE | re.DOTALL)
#: The last name, constant, or place in what is connected first, its highest part.
_HIGHEST = re.compile(r"(?P<bits>\d+'[01xz-]+)|(?P<name>[\\$]\S+)(?: \[(?P<high>\d+)(?::\d+)?\])?")


def with_true_widths(rtlil: str) -> str:
    """The design with the operands of its operators extended."""
    return _MODULE.sub(lambda module: _module(module[0]), rtlil)


def _module(text: str) -> str:
    widths = {name: int(width) for width, name in _WIRE.findall(text)}
    return _CELL.sub(lambda cell: _cell(cell[0], cell[1], widths), text)


def _cell(text: str, kind: str, widths: Mapping[str, int]) -> str:
    parameters = {name: int(value) for name, value in _PARAMETER.findall(text)}
    if kind in _COMPARISONS:
        decided = _decided(text, kind, parameters)
        if decided is not None:
            (result,) = (value for name, value in _CONNECTION.findall(text) if name == "Y")
            return f"  connect {result} 1'{decided}\n"
        operands, width = "AB", max(parameters["A_WIDTH"], parameters["B_WIDTH"])
    elif kind in _BY_RESULT:
        operands, width = _BY_RESULT[kind], parameters["Y_WIDTH"]
    else:
        return text
    for operand in operands:
        missing = width - parameters[f"{operand}_WIDTH"]
        if missing > 0:
            signed = parameters[f"{operand}_SIGNED"]
            text = _extended(text, operand, missing, width, widths if signed else None)
    return text


def _decided(text: str, kind: str, parameters: Mapping[str, int]) -> int | None:
    """What an unsigned comparison with the least or the largest number always is; None of one
    that is not decided."""
    if parameters["A_SIGNED"] or kind not in _BOUNDS:
        return None
    operand, digit, result = _BOUNDS[kind]
    operands = dict(_CONNECTION.findall(text))
    width = max(parameters["A_WIDTH"], parameters["B_WIDTH"])
    for name, bound in ((operand, digit), ("AB".replace(operand, ""), "10"[int(digit)])):
        if operands[name] == f"{width}'{bound * width}":
            return result
        if bound == "0" and _ZERO.fullmatch(operands[name]):
            return result
    return None


def _extended(
    text: str, operand: str, missing: int, width: int, widths: Mapping[str, int] | None
) -> str:
    """The cell with so many more bits of an operand; ``widths``, of wires: by its sign."""
    (value,) = (value for name, value in _CONNECTION.findall(text) if name == operand)
    bits = value.removeprefix("{ ").removesuffix(" }")
    fill = f"{missing}'{'0' * missing}" if widths is None else _sign(bits, missing, widths)
    connect = f"    connect \\{operand} "
    text = text.replace(f"{connect}{value}\n", f"{connect}{{ {fill} {bits} }}\n")
    return re.sub(
        rf"^(    parameter \\{operand}_WIDTH) \d+$", rf"\1 {width}", text, flags=re.MULTILINE
    )


def _sign(value: str, count: int, widths: Mapping[str, int]) -> str:
    """The highest bit of what is connected, ``count`` times."""
    highest = _HIGHEST.match(value)
    if highest is None:
        return f"{count}'{'0' * count}"
    if highest["bits"]:
        return f"{count}'{highest['bits'].partition(chr(39))[2][0] * count}"
    name, high = highest["name"], highest["high"]
    place = int(high) if high is not None else widths[name] - 1
    return " ".join([f"{name} [{place}]"] * count)
