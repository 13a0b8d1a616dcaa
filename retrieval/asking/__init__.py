"""Asking: questions of a post, each distinct one once, politely, answers recorded raw."""
