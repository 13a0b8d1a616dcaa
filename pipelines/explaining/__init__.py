"""Which evidence mattered, and which errors are left: what `ramie explain` shows."""
