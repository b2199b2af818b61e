"""Recurrent layers on a GPU, beside Flax, JAX's cuDNN LSTM and torch's cuDNN layers."""
