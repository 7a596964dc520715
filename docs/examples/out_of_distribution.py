"""How well a score tells images like the training's from others.

Any score will do that is higher for images in distribution: log p(x) of a trained run
(`run.log_density(images)`), the log-sum-exp of a classifier's logits, its confidence. Here the
density of a Gaussian of two features stands for it.
"""

import numpy as np
from scipy.stats import multivariate_normal

from eojax.metrics.out_of_distribution import auroc, fpr_at_95_tpr, histogram_kl

generator = np.random.default_rng(0)
density = multivariate_normal([0.0, 0.0], [[1.0, 0.3], [0.3, 1.0]])
train, test = density.rvs(5000, random_state=1), density.rvs(2000, random_state=2)
others = {
    'shifted': generator.normal(2.0, 1.0, (2000, 2)),
    'far away': generator.normal(6.0, 1.0, (2000, 2)),
    'too typical': generator.normal(0.0, 0.1, (2000, 2)),
}

inside = density.logpdf(test)
print(f'D(test || train) of the scores: {histogram_kl(inside, density.logpdf(train)):.3f} nats')
for name, points in others.items():
    outside = density.logpdf(points)
    print(
        f'{name}: AUROC {auroc(inside, outside):.3f}, false positives at 95% true positives'
        f' {fpr_at_95_tpr(inside, outside):.3f}'
    )
