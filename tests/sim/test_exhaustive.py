"""Every pair of codes of every two listed formats through the hardware's product."""

from hwgen import DotProduct
from hwgen.formats import NAMES
from sim import exhaustive


def test_all_products_of_all_pairs_of_formats():
    specs = [DotProduct(a=a, b=b, lanes=1) for a in NAMES for b in NAMES]
    wrong = exhaustive.product_mismatches(specs)
    assert len(wrong) == len(NAMES) ** 2
    assert not {name: found[:3] for name, found in wrong.items() if found}


def test_a_wrong_product_is_found(monkeypatch):
    genuine = exhaustive.exact_product

    def faulty(m, a, b, *rest):
        # Wrong for a single pair of codes.
        product, special = genuine(m, a, b, *rest)
        return product ^ ((a == 3) & (b == 9)), special

    monkeypatch.setattr(exhaustive, "exact_product", faulty)
    spec = DotProduct(a="e2m1", b="int4", lanes=1)
    ((code_a, code_b, expected, got),) = exhaustive.product_mismatches([spec])[spec.name]
    assert (code_a, code_b) == (3, 9) and got == expected ^ 1
