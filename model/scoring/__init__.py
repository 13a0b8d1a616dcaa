"""How good a trained model is, how sure, and why."""
