"""Files that appear whole: arrays in folders, replaced as one."""
