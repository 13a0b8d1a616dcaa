"""A published setting in one command: build, verify, audit, compare."""
