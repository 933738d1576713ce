"""What tracking does, one file a noun, each function inside the caller's transaction."""
