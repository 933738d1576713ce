"""Worker processes, each with a loaded model."""
