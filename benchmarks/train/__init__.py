"""Training on real data, held against published figures."""
