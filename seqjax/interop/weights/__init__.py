"""Weights of other libraries: Hugging Face's folders, layers of torch and of Flax."""
