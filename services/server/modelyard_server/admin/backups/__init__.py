"""Content of a backup, and how it is written and read; see docs/maintenance.md."""
