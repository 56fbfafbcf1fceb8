"""Arrays in and out: validation, ragged rows, results, pooling."""
