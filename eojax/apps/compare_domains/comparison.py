"""Scores of sets of images by trained runs, how well they tell these apart, and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.compare_domains.domains import Domain
from eojax.apps.compare_domains.figures import DERIVED, DETAIL, SCORES, kl_text
from eojax.drawing.pictures import displayed
from eojax.errors import UserError
from eojax.evaluation.outliers import spread
from eojax.evaluation.reference import TEST, TRAIN, reference_scores, test_ends
from eojax.evaluation.scoring import density_name, score_all
from eojax.messages import say
from eojax.metrics.out_of_distribution import auroc, fpr_at_95_tpr
from eojax.metrics.out_of_distribution import divergence as divergence_of
from eojax.metrics.typicality import fit_ratio, fit_states, typicality
from eojax.runs.run import Run
from eojax.tables import markdown_table

_EXAMPLES = 18  # at either end of log p(x)


class Judged(NamedTuple):
    """The scores of a domain by one run.

    Attributes:
      text: what the domain is and how it was read.
      scores: `[num]` each, by the names of `SCORES`, `DERIVED` and, where it is known, `DETAIL`.
      lowest, highest: of its images by log p(x), from the end inwards, uint8 `[num, H, W, 1 or 3]`.
    """

    text: str
    scores: dict[str, np.ndarray]
    lowest: np.ndarray
    highest: np.ndarray


class Comparison(NamedTuple):
    """The scores of all domains by one run.

    Attributes:
      run: folder, method and step, for people and `comparison.json`.
      density: log p(x) or what stands for it, for people.
      training: scores as in `Judged`, of training images.
      domains: by name, `test` among them.
      divergence: the estimate of KL, one of `eojax.metrics.out_of_distribution.DIVERGENCES`.
    """

    run: dict[str, Any]
    density: str
    training: dict[str, np.ndarray]
    domains: dict[str, Judged]
    divergence: str = 'neighbours'


def compare(
    run: Run, state: Any, domains: Sequence[Domain], num: int, divergence: str = ''
) -> Comparison:
    """Reads and scores one domain after the other; all processes of a run call it together.

    The test split, which comes first, is that whose scores the run's folder keeps: the run's data
    are read only where it keeps none of this checkpoint.

    Args:
      domains: all others.
      num: at most so many images of the test split.
      divergence: the estimate of KL; empty: that of the run's config.

    Raises:
      UserError: images that cannot be read, or a run whose outputs are not finite.
    """
    density = density_name(run.method)
    names: tuple[str, ...] = (density, *SCORES[1:])

    def renamed(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {'log_density' if name == density else name: scores[name] for name in names}

    def own(names: tuple[str, ...]) -> list[dict[str, np.ndarray]]:
        return [reference_scores(run, state, names, part) for part in (TRAIN, TEST)]

    try:
        of_run = own((*names, *DETAIL))
        names = (*names, *DETAIL)
    except UserError:  # kept by an earlier version, without the data
        say(
            f'{run.folder} keeps no detail of its images: states are of log p(x) and its gradient'
            ' alone; --data_root=PATH of its data set adds it'
        )
        of_run = own(names)
    training, scores = map(renamed, of_run)
    chosen = spread(len(scores['log_density']), num)
    seen = [displayed(end, run.images.bands, run.images.limits) for end in test_ends(run, state)]
    scores = {name: values[chosen] for name, values in scores.items()}
    judged = {'test': Judged("the run's test split", scores, *seen)}
    for domain in domains:
        images = domain.read()
        scores = renamed(score_all(run, names, state, images, title=f'scoring {domain.name}'))
        order = np.argsort(scores['log_density'], kind='stable')
        ends = (images[order[:_EXAMPLES]], images[order[::-1][:_EXAMPLES]])
        seen = [displayed(end, run.images.bands, run.images.limits) for end in ends]
        judged[domain.name] = Judged(domain.text, scores, *seen)
    about = {
        'workdir': str(run.folder),
        'method': run.config.method.name,
        'step': run.step,
        'density': density,
        'image_size': run.task.image_shape[0],
        'training_images': len(training['log_density']),
        'test_images': len(judged['test'].scores['log_density']),
    }
    title = 'log p(x)' if density == 'log_density' else 'log-sum-exp'
    divergence = divergence or run.config.evaluate.divergence
    return _derived(Comparison(about, title, training, judged, divergence))


def _derived(found: Comparison) -> Comparison:
    """The comparison with the scores that follow from others and the training images' own."""
    training, states, ratio = found.training, fit_states(found.training), None
    if 'roughness' in training:
        ratio = fit_ratio(training['log_density'], training['roughness'])

    def more(scores: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        made = {
            **scores,
            'typicality': typicality(scores['log_density'], training['log_density']),
            'states': states(scores),
        }
        if ratio is not None:
            made['ratio'] = ratio(scores['log_density'], scores['roughness'])
        return made

    domains = {
        name: judged._replace(scores=more(judged.scores)) for name, judged in found.domains.items()
    }
    return found._replace(training=more(found.training), domains=domains)


def scores_compared(found: Comparison) -> list[str]:
    """The names of the scores that a comparison has."""
    return [name for name in (*SCORES, *DERIVED) if name in found.training]


def domain_numbers(found: Comparison) -> dict[str, dict[str, Any]]:
    """The content of `domains.json`."""
    numbers = {}
    for name, judged in found.domains.items():
        inside = found.training if name == 'test' else found.domains['test'].scores
        outside = judged.scores
        density = outside['log_density']
        numbers[name] = {
            'images': len(density),
            'kl': divergence_of(density, found.training['log_density'], found.divergence),
        } | {
            score: {
                'auroc': auroc(inside[score], outside[score]),
                'fpr95': fpr_at_95_tpr(inside[score], outside[score]),
                'mean': float(outside[score].mean(dtype=np.float64)),
            }
            for score in scores_compared(found)
        }
    return numbers


def score_titles(found: Comparison) -> dict[str, str]:
    """The scores of a run, for people."""
    gradient = f'-||grad {found.density}||'
    titles = (found.density, 'max p(y|x)', gradient, 'typicality', 'states', 'ratio')
    return dict(zip((*SCORES, *DERIVED), titles, strict=True))


def remarks(found: Comparison) -> list[str]:
    """Where log p(x) ranks a domain above the test images, or another score does clearly better."""
    lines, titles = [], score_titles(found)
    for name, numbers in domain_numbers(found).items():
        values = {score: numbers[score]['auroc'] for score in scores_compared(found)}
        density = values['log_density']
        best = max(values, key=lambda score: values[score])
        told = f'{titles[best]} tells them apart best, AUROC {values[best]:.3f}'
        if name != 'test' and density < 0.5:
            if values[best] < 0.55:  # hardly better than chance
                told = f'no score tells them apart; the best is {titles[best]}, {values[best]:.3f}'
            lines.append(
                f'{name}: {found.density} ranks these images above the test split (AUROC'
                f' {density:.3f}); {told}'
            )
        elif name != 'test' and values[best] >= density + 0.01:
            lines.append(f'{name}: {found.density} has AUROC {density:.3f}; {told}')
    return lines


def table(comparisons: Mapping[str, Comparison], escape: bool = True) -> str:
    """A Markdown table of all domains, with the columns of each run, named where there are two.

    Args:
      escape: the stroke in `max p(y|x)`; in a terminal it need not be.
    """
    head = ['domain', 'images']
    rows: dict[str, list[str]] = {}
    for title, found in comparisons.items():
        prefix = f'{title}: ' if len(comparisons) > 1 else ''
        scores = scores_compared(found)
        texts = ('KL', found.density, 'max p(y|x)', 'gradient', *DERIVED)[: 1 + len(scores)]
        head += [f'{prefix}{text}' for text in texts]
        for name, numbers in domain_numbers(found).items():
            row = rows.setdefault(name, [name, f'{numbers["images"]:,}'])
            row.append(kl_text(numbers['kl']))
            row += [f'{numbers[s]["auroc"]:.3f} / {numbers[s]["fpr95"]:.1%}' for s in scores]
    if escape:
        head = [cell.replace('|', '\\|') for cell in head]
    return markdown_table([head, *rows.values()])


def summary(comparisons: Mapping[str, Comparison], escape: bool = True) -> str:
    """The table, what it means, and where log p(x) fails: printed, and in `domains.md`."""
    lines = [table(comparisons, escape), '']
    estimates = ' and '.join(dict.fromkeys(one.divergence for one in comparisons.values()))
    lines.append(
        'KL in nats: the divergence of log p(x) from that of the training images, estimated by'
        f' {estimates}. Scores: AUROC / FPR at 95%'
        ' TPR, the test split against the domain; for test, training images against it. Gradient:'
        ' minus the norm of the gradient of log p(x). Typicality: minus the distance of log p(x)'
        ' from the median of training images. States: how dense these lie where log p(x), its'
        ' gradient and the detail of an image are as here. Ratio: log p(x) less what the detail of'
        ' an image explains of it.'
    )
    lines.append('')
    for title, found in comparisons.items():
        about = found.run
        lines.append(
            f'- {title}: {about["method"]}, step {about["step"]:,}; {about["training_images"]:,}'
            f' training images, {about["test_images"]:,} of the test split.'
        )
    for title, found in comparisons.items():
        lines += [f'- {title}: {line}.' for line in remarks(found)]
    return '\n'.join(lines)


def settings(comparisons: Mapping[str, Comparison]) -> dict[str, Any]:
    """The content of `comparison.json`."""
    runs = [
        found.run
        | {'divergence': found.divergence}
        | {'domains': {name: judged.text for name, judged in found.domains.items()}}
        for found in comparisons.values()
    ]
    keys = ('run', 'supervised')[: len(runs)]
    return dict(zip(keys, runs, strict=True))
