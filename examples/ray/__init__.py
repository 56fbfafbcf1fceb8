"""An index in shards on a local Ray: films of MovieLens."""
