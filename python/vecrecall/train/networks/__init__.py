"""The networks of the trainers, in torch: imported by what trains or runs them, never before."""
