"""Formats that a regression tries as operands: every named one, and pairs."""

from __future__ import annotations

from hwgen.formats import GROUPS, parse_scalar

#: Every format with a name of its own.
SCALARS = tuple(name for group, names in GROUPS.items() if group != "blocks" for name in names)
BLOCKS = GROUPS["blocks"]


def scalars(bits: int) -> tuple[str, ...]:
    """The named formats of up to so many bits."""
    return tuple(name for name in SCALARS if parse_scalar(name).bits <= bits)


def _two_modes(name: str) -> str:
    """The format once as a and once as b, with one of its kind: integers or minifloats."""
    first, second = ("int4", "int8") if parse_scalar(name).is_integer else ("e2m1", "e4m3fn")
    other = first if name != first else second
    return f"{name}:{other},{other}:{name}"


def _has_fields(name: str) -> bool:
    """Hardware finds exponent and mantissa in the format's codes."""
    return parse_scalar(name).has_hardware and not parse_scalar(name).is_integer


#: Those that a field can be, by its type.
NAMED: dict[str, tuple[str, ...]] = {
    "Scalar": SCALARS,
    "FloatingPoint": tuple(filter(_has_fields, SCALARS)),
    "BlockFormat": BLOCKS,
    "Modes": tuple(map(_two_modes, SCALARS)),
    "Format": (*SCALARS, *BLOCKS),
}

#: The other operand of a named format; the first that the spec takes.
SCALAR_PARTNERS = ("int4", "e2m1", "e4m3fn", "int8", "e5m2ieee")
BLOCK_PARTNERS = ("e2m1_b4_e8m0", "int4_b4_e8m0", "e4m3fn_b2_e8m0", "e2m1_b4_ue4m3")
#: And of a block format, with its block size.
ELEMENT_PARTNERS = ("int4", "e2m1", "e4m3fn", "fixed8_6")

MIXED_SCALARS = (
    *(("int4", "int8"), ("int8", "int2"), ("uint8", "int8"), ("int16", "int4"), ("uint4", "e2m1")),
    *(("e2m1", "int4"), ("e4m3fn", "int8"), ("int8", "e5m2ieee"), ("e2m1", "e4m3fn")),
    *(("e4m3fn", "e5m2ieee"), ("e5m2ieee", "e4m3fnuz"), ("e3m2", "e2m3"), ("e3m4", "int6")),
    *(("fixed8_6", "e4m3"), ("bf16", "int4"), ("int4", "fp16"), ("fp16", "e4m3fn")),
    *(("bf16", "e2m1"), ("fp32", "int8"), ("Binary8p3se", "e0m3")),
)
MIXED_MINIFLOATS = (
    *(("e2m1", "e4m3fn"), ("e4m3fn", "e5m2ieee"), ("e5m2ieee", "e4m3fnuz"), ("e3m2", "e2m3")),
    *(("fp16", "e4m3fn"), ("bf16", "e2m1"), ("fp32", "e4m3fn"), ("e3m4ieee", "e3m0")),
    *(("e4m3", "e5m2"), ("e2m1", "bf16"), ("tf32", "fp16"), ("e3m0", "e4m3fnuz")),
    *(("Binary8p3se", "e4m3fn"), ("e5m2", "Binary8p4se"), ("e8m0", "e2m1"), ("ue4m3", "e4m3")),
    *(("fp16", "bf16"), ("e2m3", "fp32"), ("e5m2fnuz", "e3m4"), ("ue5m3", "e2m2")),
)
MIXED_BLOCKS = (
    *(("mxfp4", "mxint8"), ("mxint4", "mxfp4"), ("mxfp8_e4m3", "mxfp4"), ("nvfp4", "nvint4")),
    *(("mxfp8_e5m2", "mxfp8_e4m3"), ("mxfp6_e2m3", "mxfp6_e3m2"), ("mxint8", "mxfp6_e3m2")),
    *(("nvfp4", "msfp12"), ("msfp16", "nvint4"), ("mxfp6_e2m3", "nvint4"), ("nvfp4", "mxfp8_e4m3")),
    *(("e2m1_b4_ue4m3", "int4_b4_e8m0"), ("e4m3fn_b4_e8m0", "e2m1_b4_ue5m3")),
    *(("int8_b8_e8m0", "e2m1_b8_ue4m3"), ("e0m3_b4_e8m0", "int4_b4_ue5m3")),
    *(("e5m2ieee_b2_ue4m3", "e4m3fn_b2_e8m0"), ("fixed8_6_b2_e8m0", "e3m2_b2_ue4m3")),
    *(("e2m3_b5_e8m0", "e3m2_b5_e8m0"), ("int2_b8_e8m0", "int8_b8_ue4m3")),
    ("e5m2ieee_b3_e8m0", "int4_b3_ue5m3"),
)
MIXED_SCALAR_BLOCK = (
    *(("fp32", "mxfp4"), ("bf16", "mxfp8_e4m3"), ("fp16", "mxint8"), ("fp32", "mxfp6_e2m3")),
    *(("bf16", "mxint4"), ("fp16", "mxfp8_e5m2"), ("fp32", "msfp12"), ("bf16", "msfp16")),
    *(("int8", "mxint4"), ("int16", "mxfp4"), ("e4m3fn", "mxfp4"), ("e5m2ieee", "mxfp6_e3m2")),
    *(("uint8", "e2m1_b8_e8m0"), ("fixed8_6", "int4_b4_e8m0"), ("tf32", "e4m3fn_b4_e8m0")),
    *(("e4m3fnuz", "e2m1_b4_e8m0"), ("fp16", "e0m3_b5_e8m0"), ("bf16", "int2_b8_e8m0")),
    *(("fp32", "e5m2ieee_b2_e8m0"), ("e5m2fnuz", "fixed8_6_b4_e8m0")),
)
#: By the types of a unit's operands.
MIXED: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    ("Scalar", "Scalar"): MIXED_SCALARS,
    ("FloatingPoint", "FloatingPoint"): MIXED_MINIFLOATS,
    ("BlockFormat", "BlockFormat"): MIXED_BLOCKS,
    ("Scalar", "BlockFormat"): MIXED_SCALAR_BLOCK,
    ("Format", "Format"): (*MIXED_SCALARS[::2], *MIXED_BLOCKS[::2]),
}
