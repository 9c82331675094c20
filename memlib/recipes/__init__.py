"""How each shipped checkpoint is trained."""
