"""Tables, plots and targets from what was measured."""
