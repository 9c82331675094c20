"""How each shipped checkpoint is trained, a module for each; all by name in `catalogue`."""
