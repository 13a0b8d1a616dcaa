"""The sample world: made up from a seed, so that evidence is needed and the truth is known.

`world` generates it, `train_weights` remakes the tiny weights that ship with it, and `measure`
says what the builder found of what the truth says is there.
"""
