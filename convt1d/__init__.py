"""The fast transposed 1-D convolution for JAX, and the signal decoders made of it."""
