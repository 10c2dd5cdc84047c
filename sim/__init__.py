"""Golden model, stimulus and benches: does the hardware compute what its spec says?"""
