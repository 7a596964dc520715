"""The imports of the process that others are forked from: what a training needs, to its end."""

import matplotlib.pyplot
import sklearn.metrics

import eojax.evaluate
import eojax.main
import eojax.training.loop

__all__ = ['eojax', 'matplotlib', 'sklearn']
