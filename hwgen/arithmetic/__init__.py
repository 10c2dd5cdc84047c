"""Building blocks in Amaranth: decoders, products, adder trees."""
