"""Workloads that ship with the project: a trained network and the images to measure it on."""
