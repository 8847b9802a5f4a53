"""``--amp`` and the scale of gradients."""

from fairseq.optim.amp_optimizer import AMPOptimizer


def install() -> None:
    """Unscale gradients once."""

    # With --amp, gradients are unscaled for clipping under the name of torch's optimizer. fairseq then steps under
    # another name, so the scaler unscales them again: at a scale of 65536 Adam sees them 65536 times too small, and its
    # epsilon counts that much more.
    def step(self: AMPOptimizer) -> None:
        self.scaler.step(self.optimizer)
        self.scaler.update()

    AMPOptimizer.step = step
