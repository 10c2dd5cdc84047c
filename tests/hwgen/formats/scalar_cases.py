"""Scalar formats, those of other libraries, and numbers to round to them."""

import gfloat
import gfloat.formats
import ml_dtypes
import numpy as np

from hwgen import Minifloat, parse
from hwgen.formats import NAMES

OPERANDS = [parse(name) for name in NAMES]
MINIFLOATS = [Minifloat(e, m) for e in range(0, 6) for m in range(0, 7) if 2 <= 1 + e + m <= 8]

#: Every float of ml_dtypes of up to 16 bits, by its name there.
LIBRARY = {
    name: getattr(ml_dtypes, name)
    for name in (
        "bfloat16", "float8_e3m4", "float8_e4m3", "float8_e4m3b11fnuz", "float8_e4m3fn",
        "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn",
        "float6_e2m3fn", "float6_e3m2fn",
    )
}  # fmt: skip
LIBRARY["float16"] = np.float16

GFLOAT_MODES = {
    "nearest_even": gfloat.RoundMode.TiesToEven,
    "nearest_away": gfloat.RoundMode.TiesToAway,
    "toward_zero": gfloat.RoundMode.TowardZero,
    "up": gfloat.RoundMode.TowardPositive,
    "down": gfloat.RoundMode.TowardNegative,
    "stochastic": gfloat.RoundMode.StochasticFastest,
}
DETERMINISTIC = [mode for mode in GFLOAT_MODES if mode != "stochastic"]
#: gfloat's own descriptions of OCP's and the IEEE's formats.
GFLOAT = {
    "e4m3fn": gfloat.formats.format_info_ocp_e4m3,
    "e5m2ieee": gfloat.formats.format_info_ocp_e5m2,
    "e2m3": gfloat.formats.format_info_ocp_e2m3,
    "e3m2": gfloat.formats.format_info_ocp_e3m2,
    "e2m1": gfloat.formats.format_info_ocp_e2m1,
    "e8m0": gfloat.formats.format_info_ocp_e8m0,
    "fixed8_6": gfloat.formats.format_info_ocp_int8,
    "fp16": gfloat.formats.format_info_binary16,
    "bf16": gfloat.formats.format_info_bfloat16,
}
P3109 = [
    f"Binary{bits}p{precision}{sign}{domain}"
    for bits in range(3, 9)
    for sign in "su"
    for precision in range(1, bits + (sign == "u"))
    for domain in "ef"
]
#: A format of each kind, beside those that a library has.
OTHERS = ["ue4m3", "ue5m3", "ue5m3ieee", "uint5", "int12", "e4m3b3", "e0m3", "e0m7fn", "e4m3ns",
          "ue2m1nz", "ue3m2ns", "e3m0", "ufixed6_3", "e4m3finite", "lns4f3", "ulns3f0", "e2m1bn2",
          "fixed16_15", "uint8", "int1", "e5m7ext", "e8m0finite"]  # fmt: skip


def gfloat_p3109(name):
    bits, precision = int(name[6]), int(name[8])
    signedness = gfloat.types.Signedness.Signed if "s" in name else gfloat.types.Signedness.Unsigned
    domain = gfloat.Domain.Extended if name.endswith("e") else gfloat.Domain.Finite
    return gfloat.formats.format_info_p3109(bits, precision, signedness, domain)


def gfloat_of(name):
    return gfloat_p3109(name) if name.startswith("Binary") else GFLOAT[name]


def all_codes(f):
    return np.arange(2**f.bits, dtype=f.code_dtype)


def same(x, y):
    """Equal in value and sign of zero, NaN equal to NaN."""
    number = ~np.isnan(x)
    return (
        (np.isnan(x) == np.isnan(y)).all()
        and (x[number] == y[number]).all()
        and (np.signbit(x[number]) == np.signbit(y[number])).all()
    )


def points_of(f, dtype=np.float64):
    """All values, ties, the neighbours of both, and numbers beyond the range."""
    values = f.finite_values()
    ties = (values[1:] + values[:-1]) / 2
    largest = values[-1]
    step = largest - values[-2]
    beyond = np.array([largest + step / 2, largest + step, largest * 2, largest * 1e6, np.inf])
    tiny = [f.smallest / 2, f.smallest / 4, f.smallest * 0.75, 0.0]
    with np.errstate(over="ignore"):
        points = np.concatenate([values, ties, beyond, tiny]).astype(dtype)
    near = [np.nextafter(points, dtype(end)) for end in (np.inf, -np.inf)]
    both = np.concatenate([points, *near])
    return np.concatenate([both, -both, [dtype(np.nan)]]).astype(dtype)


def random_float32(count, largest, seed=1):
    """Half of any bit pattern, half normal numbers about the format's range."""
    rng = np.random.default_rng(seed)
    patterns = rng.integers(0, 2**32, count // 2, dtype=np.uint32).view(np.float32)
    normal = rng.standard_normal(count - count // 2, dtype=np.float32) * np.float32(largest / 3)
    # Signalling NaNs become quiet ones: a cast of the others is an invalid operation.
    patterns[np.isnan(patterns)] = np.nan
    return np.concatenate([patterns, normal])
