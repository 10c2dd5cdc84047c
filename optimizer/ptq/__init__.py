"""Post-training quantisation: methods on arrays, one a file, each with its source."""
