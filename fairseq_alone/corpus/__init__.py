"""What the training data itself tells about its words, before any model is trained: counts, vectors and codes."""
