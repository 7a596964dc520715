"""Histograms of log p(x): of several runs, and of other data sets beside the training images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eojax.apps.compare_domains.comparison import compare
from eojax.apps.compare_domains.domains import find_domain, read_ahead
from eojax.drawing import figures
from eojax.drawing.style import score_bins
from eojax.evaluation.published_results import PublishedResult, published_divergences
from eojax.evaluation.reference import TEST, TRAIN, reference_scores
from eojax.metrics.out_of_distribution import DIVERGENCES
from eojax.runs.command import open_trained
from eojax.studies.papers.item import Compared, Outcome, Work
from eojax.studies.papers.papers import published_name

_FILE = 'figure.png'
# The estimate in the figures: the papers', who do not say their bins.
_SHOWN = 'histogram'
_KL = (
    'KL in nats, of the histogram of log p(x) from that of the training images, as the papers have'
    ' it without saying their bins; below it is by nearest neighbours too.'
)


def several_runs(work: Work) -> Outcome:
    """Training and test images under each of the runs, in common bins."""
    panels: dict[str, Mapping[str, np.ndarray]] = {}
    numbers = []
    printed = _printed(work)
    for one in work.plan.runs:
        run, state = open_trained(work.folder(one))
        train, test = (
            reference_scores(run, state, ('log_density',), part)['log_density']
            for part in (TRAIN, TEST)
        )
        divergences = _divergences(test, train)
        # The paper's number is of the first run.
        published = printed.get('kl_test' if one == work.plan.runs[0] else '')
        label = f'test, {_kl_text(divergences, published)}'
        panels[one.title] = {'training': train, label: test}
        numbers += _compared(one.title, 'test', divergences, published)
        numbers.append(Compared(one.title, 'log_density_train', float(np.mean(train))))
    samples = [sample for panel in panels.values() for sample in panel.values()]
    figures.log_density_panels(panels, work.out / _FILE, figures.common_bins(samples))
    caption = (
        f'log p(x), unnormalised, of {len(samples[0]):,} training and {len(samples[1]):,} test'
        f' images, of each run in the same bins. {_KL}{_published_text(numbers)}'
    )
    return Outcome(caption, numbers, [_FILE])


def domains(work: Work, with_test: bool) -> Outcome:
    """Other data sets, and the test images, beside the training images under one run.

    Args:
      with_test: whether the test images have a panel of their own.
    """
    (one,) = work.plan.runs
    run, state = open_trained(work.folder(one))
    titles = {name: title for title, (name, _) in work.plan.domains.items()}
    given = [find_domain(name, path, run, work.images) for name, path in work.plan.domains.values()]
    found = compare(run, state, [*read_ahead(given)], work.images)
    training = found.training['log_density']
    printed = _printed(work)
    panels: dict[str, Mapping[str, np.ndarray]] = {}
    numbers, texts = [], []
    for name, judged in found.domains.items():
        values = judged.scores['log_density']
        divergences = _divergences(values, training)
        title = titles.get(name, 'test')
        result = printed.get(f'kl_{name}')
        numbers += _compared(title, name, divergences, result)
        texts.append(f'{title}: {judged.text}')
        if name != 'test' or with_test:
            label = f'{title}, {_kl_text(divergences, result)}'
            panels[title] = {'EuroSAT, training': training, label: values}
    samples = [training, *(values for panel in panels.values() for values in panel.values())]
    edges = score_bins(samples, 24)[2]
    figures.log_density_panels(panels, work.out / _FILE, edges)
    caption = (
        f'log p(x), unnormalised, of {one.title}: {"; ".join(texts)}. {_KL}'
        f'{_published_text(numbers)}'
    )
    return Outcome(caption, numbers, [_FILE], more={'domains': texts})


def _printed(work: Work) -> dict[str, PublishedResult]:
    """The paper's divergences by their keys."""
    return {r.key: r for r in published_divergences(published_name(work.plan.item.paper))}


def _kl_text(divergences: Mapping[str, float], result: PublishedResult | None) -> str:
    paper = '' if result is None else f' (paper {result.printed})'
    return f'KL {divergences[_SHOWN]:.2f}{paper}'


def _divergences(scores: np.ndarray, training: np.ndarray) -> dict[str, float]:
    return {name: float(estimate(scores, training)) for name, estimate in DIVERGENCES.items()}


def _compared(
    of: str, name: str, divergences: Mapping[str, float], result: PublishedResult | None
) -> list[Compared]:
    """Both estimates of a divergence; the paper's number stands beside that of histograms."""
    key = f'kl_{name}'
    paper = () if result is None else (result.value, result.printed, result.place)
    return [
        Compared(of, key, divergences['neighbours']),
        Compared(of, f'{key}_histogram', divergences['histogram'], *paper),
    ]


def _published_text(numbers: list[Compared]) -> str:
    found = [f'{n.of} {n.printed}' for n in numbers if n.published is not None]
    places = {n.place for n in numbers if n.place}
    return f' Published ({", ".join(sorted(places))}): {", ".join(found)}.' if found else ''
