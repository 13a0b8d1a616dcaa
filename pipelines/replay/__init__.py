"""A made-up web on this machine that answers, and misbehaves, as it is told."""
