"""Toggles of an instance, read from what a simulator writes."""

import pytest

from hwgen import ToolError
from sim import saif

TEXT = """\
(SAIFILE
(DURATION 12)
 (INSTANCE $rootio
  (NET
   (a (T0 1) (T1 1) (TZ 0) (TX 0) (TB 0) (TC 99))
  )
 (INSTANCE unit
  (NET
   (a (T0 1) (T1 1) (TZ 0) (TX 0) (TB 0) (TC 3))
   (n1\\[0\\] (T0 1) (T1 1) (TZ 0) (TX 0) (TB 0) (TC 4))
   (clk (T0 1) (T1 1) (TZ 0) (TX 0) (TB 0) (TC 50))
  )
  (INSTANCE n2
   (NET
    (Z (T0 1) (T1 1) (TZ 0) (TX 0) (TB 0) (TC 7))
   )
  )
 )
 )
)
"""


def test_toggles_are_those_of_the_units_own_nets():
    own = saif.of_instance(TEXT, "unit", "dot")
    assert "(INSTANCE dot" in own and own.count("(") == own.count(")")
    assert saif.toggles(own) == 7
    assert saif.toggles(saif.of_instance(own, "dot", "dot")) == 7
    with pytest.raises(ToolError, match="no toggles of other"):
        saif.of_instance(TEXT, "other", "other")
    with pytest.raises(ToolError, match="no toggles"):
        saif.toggles("")
