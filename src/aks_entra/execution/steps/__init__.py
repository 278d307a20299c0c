"""How each step is performed: one function for each part of a step. `registry` lists them."""
