"""vecrecall beside its peers: each in a process of its own, timed in turn (`vecrecall.bench`)."""
