"""Who can be asked for evidence, one file each."""
