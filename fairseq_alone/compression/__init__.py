"""A trained model made smaller: another embedding, and a short training with the model itself as the teacher."""
