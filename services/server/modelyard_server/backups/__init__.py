"""What a backup holds, and how it is written and read; docs/backup.md describes it."""
