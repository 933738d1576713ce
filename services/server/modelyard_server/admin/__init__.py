"""Commands for operations: migrate, tokens, gc, doctor, backup, restore."""
