"""From a trained network to a format for every layer."""
