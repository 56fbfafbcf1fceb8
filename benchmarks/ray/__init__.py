"""An index in shards on a local Ray, compared with one index."""
