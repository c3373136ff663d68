"""Orders: places, drafts, changes, edits, imports and cancels orders."""
