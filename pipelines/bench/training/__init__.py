"""How fast a step of training is: against the authors' way, in padding, and on two processes."""
