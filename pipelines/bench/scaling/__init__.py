"""How the cost of every stage grows, and what that means for more posts than can be measured."""
