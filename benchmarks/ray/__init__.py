"""An index in shards on a local Ray beside one index."""
