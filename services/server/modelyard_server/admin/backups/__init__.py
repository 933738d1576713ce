"""What a backup holds, and how it is written and read; docs/maintenance.md describes it."""
