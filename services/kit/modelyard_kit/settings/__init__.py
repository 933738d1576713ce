"""Every setting of every program, and how they are read."""
