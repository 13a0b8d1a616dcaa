"""Systems side by side: a grid of runs, trained or taken as they are, and one table of them."""
