"""The mains: the whole platform in one process, and the commands around it."""
