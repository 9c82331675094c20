"""What a fine-tuned model has memorized of its training images, against the model that it began from."""
