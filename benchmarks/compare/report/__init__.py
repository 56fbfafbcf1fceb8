"""Tables, plots and targets, from the results of a run."""
