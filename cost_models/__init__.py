"""What a datapath costs: measurements, estimates, energy."""
