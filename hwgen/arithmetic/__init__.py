"""Building blocks in Amaranth: decoders, multipliers, adder trees."""
