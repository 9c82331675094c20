"""What the book needs beyond `memlib`: runs, claims, figures, data, trained models and their recipes."""
