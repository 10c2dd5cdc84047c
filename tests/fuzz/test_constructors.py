"""A sample of the malformed calls; ``constructors.py`` makes more."""

import constructors


def test_malformed_calls_end_in_input_errors_or_work():
    ends, faults = constructors.run(400, seed=7)
    assert not faults, "\n".join(faults)
    assert ends["InputError"] > 200 and ends["accepted"] > 20
