"""Lists of several channels or shards into one."""
