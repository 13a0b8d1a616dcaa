"""Soaks: real builds that are killed, starved and lied to, again and again, and then compared."""
