"""Whether a classifier's confidence is how often it is right.

The labels here are drawn from the classifier's own probabilities, so that it is right as often as
it says; the same one with its logits doubled is too sure.
"""

import numpy as np
from scipy.special import softmax

from eojax.metrics.calibration import expected_calibration_error, reliability_curve

generator = np.random.default_rng(0)
logits = generator.normal(0.0, 1.2, (20_000, 5))
shares = softmax(logits, axis=1)
labels = (shares.cumsum(1) > generator.random((len(shares), 1))).argmax(1)

for name, given in (('as they are', logits), ('too sure', 2.0 * logits)):
    probabilities = softmax(given, axis=1)
    error = expected_calibration_error(probabilities, labels)
    print(f'{name}: expected calibration error {error:.3f}')

curve = reliability_curve(softmax(2.0 * logits, axis=1), labels, num_bins=5)
for confidence, accuracy, count in zip(*curve, strict=True):
    if count:
        print(f'  said {confidence:.0%}, was right {accuracy:.0%} ({count} images)')
