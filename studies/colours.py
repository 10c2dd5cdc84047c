"""Colours of pictures, in the order of what they show."""

COLOURS = ("#1f5fa8", "#c8501e", "#3a8f4d", "#8a6fb0", "#e0a800", "#8a8a8a")
