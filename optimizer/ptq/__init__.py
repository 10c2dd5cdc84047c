"""Post-training quantisation: methods on arrays, one a file, each with its source.

Nothing here knows of networks. A layer is a ``Problem`` (``rounding``): its weights, a format,
scales, and the ``Moments`` (``moments``) of what it sees and of what it shall give. ``methods`` has
them by name; ``optimizer.refinement`` applies them to a network, layer after layer.
"""
