"""The tables of classification and generation, and the calibration curves, of an item's runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from eojax.drawing.wording import kid_in_words
from eojax.errors import UserError
from eojax.evaluation.generation import distances, make_samples
from eojax.evaluation.published_results import OTHER_NETWORKS, PublishedResult, published_results
from eojax.runs.command import open_trained
from eojax.runs.run import with_data
from eojax.studies.grid.cells import Row
from eojax.studies.grid.process import reliability_file
from eojax.studies.label_efficiency import figures
from eojax.studies.label_efficiency.rows import sort_rows
from eojax.studies.label_efficiency.table import labels_of_rows, markdown, published, summary_of
from eojax.studies.papers import samples
from eojax.studies.papers.item import Compared, Item, Outcome, Work
from eojax.studies.papers.papers import PAPERS, published_name
from eojax.studies.papers.runs import NAMES, Trained
from eojax.tables import markdown_table

# Images that FID and KID of small runs are of.
_SMALL_IMAGES = 500
_GENERATION, _IMAGES = ('fid', 'kid'), 'inception_images'


def _heading(item: Item) -> str:
    return f'{PAPERS[item.paper].name}, Table {item.number}: {item.title}'


def by_labels(work: Work) -> Outcome:
    """Accuracy and calibration by method and number of labels; and the figures of both."""
    rows = _sorted(work)
    figures.draw(rows, work.out)
    item = work.plan.item
    caption = (
        'Accuracy on the test images by method and number of labels per class, and the expected'
        " calibration error, beside the paper's."
    )
    files = [name for name in ('accuracy.png', 'ece.png', 'reliability.png')
             if (work.out / name).exists()]  # fmt: skip
    title = _heading(item)
    return Outcome(caption, [*_compared(rows, ('accuracy', 'ece'))], files, markdown(rows, title))


def calibration(work: Work) -> Outcome:
    """Reliability curves, a panel for each number of labels, with the paper's errors."""
    rows = _sorted(work)
    file = 'figure.png'
    if not any(reliability_file(work.folder(one)).exists() for one in work.plan.runs):
        raise UserError('no run of it keeps its calibration: delete them, and train them again')
    figures.reliability(rows, work.out / file)
    caption = (
        'Accuracy by confidence of the test images, of all seeds together; expected calibration'
        " errors (ECE, 15 bins) are in the legend, the paper's in brackets."
    )
    return Outcome(caption, [*_compared(rows, ('ece', 'accuracy'))], [file])


def _sorted(work: Work) -> list[Row]:
    """The rows of all runs, those that failed too: the table says why.

    Raises:
      UserError: none is finished.
    """
    if all(row['error'] for row in work.rows):
        raise UserError('none of its runs is finished')
    order = dict.fromkeys(one.series(work.small) for one in work.plan.runs)
    return sort_rows(work.rows, [*order])


def _compared(rows: Sequence[Row], keys: Iterable[str]) -> Iterable[Compared]:
    """The mean over the seeds of each series and number of labels beside the paper's."""
    for key in keys:
        for config, data, method in dict.fromkeys(
            (row['config'], row['data'], row['method']) for row in rows
        ):
            own = [row for row in rows if row['config'] == config]
            labels = labels_of_rows(own)
            for number, mean in zip(labels, summary_of(own, key, config, labels)['mean'],
                                    strict=True):  # fmt: skip
                result = published(key, data, method, number)
                ours = None if mean != mean else float(mean)
                yield Compared(f'{config}, {number} labels', key, ours, *_paper(result))


def _paper(result: PublishedResult | None) -> tuple[float, str, str] | tuple[()]:
    return () if result is None else (result.value, result.printed, result.place)


def of_models(work: Work, keys: Sequence[str], others: bool = False) -> Outcome:
    """A row for each model: accuracy, FID and KID, beside those of this very paper.

    Args:
      keys: of `accuracy`, `fid`, `kid`.
      others: whether the networks of the data set's authors stand below, with the paper's numbers.
    """
    numbers: list[Compared] = []
    table = [['model', *(cell for key in keys for cell in (_TITLES[key], 'paper'))]]
    for one in work.plan.runs:
        row = [NAMES[one.method]]
        for number in _of_model(work, one, keys):
            numbers.append(number)
            if number.key in keys:
                row += [_written(number), number.printed or '–']
        table.append(row)
    if others:
        table += [[name, '–', f'{value:.1%}'] for name, value in OTHER_NETWORKS.items()]
    parts = [f'# {_heading(work.plan.item)}', markdown_table(table)]
    caption = 'Accuracy on the test images, the mean over the seeds.'
    for one in work.plan.runs:
        num = len(_finished(work, one))
        if num < len(work.seeds):
            caption += f' {NAMES[one.method]}: {num} of {len(work.seeds)} seeds.'
    files = []
    if 'fid' in keys:
        images = {int(n.ours) for n in numbers if n.key == _IMAGES and n.ours}
        many = f' of {", ".join(f"{num:,}" for num in sorted(images))} images' if images else ''
        caption += (
            f' FID and KID{many} of the first seed: FID falls with their number, which the paper'
            ' does not state.'
        )
        makers = tuple(
            one for one in work.plan.runs if one.method != 'supervised' and _first(work, one)
        )
        plan = work.plan._replace(runs=makers)
        if makers:
            files = [*samples.by_class(work._replace(plan=plan), 2, 3, 'samples.png').files]
    return Outcome(caption, numbers, files, '\n\n'.join(parts) + '\n')


_TITLES = {'accuracy': 'accuracy', 'fid': 'FID', 'kid': 'KID'}


def _of_model(work: Work, one: Trained, keys: Sequence[str]) -> Iterable[Compared]:
    paper = published_name(work.plan.item.paper)
    printed = {r.key: r for r in published_results(one.data, one.method, one.labels)
               if r.paper == paper}  # fmt: skip
    rows = _finished(work, one)
    ours: dict[str, float | None] = {}
    if 'accuracy' in keys and rows and rows[0].get('accuracy') is not None:
        ours['accuracy'] = sum(row['accuracy'] for row in rows) / len(rows)
    if set(keys) & set(_GENERATION) and one.method != 'supervised':
        ours |= _generation(work, one)
    for key in keys:
        yield Compared(NAMES[one.method], key, ours.get(key), *_paper(printed.get(key)))
    if _IMAGES in ours:
        yield Compared(NAMES[one.method], _IMAGES, ours[_IMAGES])


def _finished(work: Work, one: Trained) -> list[Row]:
    """The rows of a model's finished runs, one a seed."""
    return [r for r in work.rows if r['method'] == one.method and r['error'] is None]


def _first(work: Work, one: Trained) -> Row | None:
    """The row of a model's run of the first seed; None where that is not finished."""
    folder = work.folder(one)
    return next((r for r in _finished(work, one) if Path(r['folder']) == folder), None)


def _generation(work: Work, one: Trained) -> Mapping[str, float | None]:
    """FID and KID of the first seed: as its evaluation has them, or measured now.

    Nothing where that run is not finished: another seed, or half of a training, is none of it.
    """
    first = _first(work, one)
    if first is None:
        return {}
    if first.get('fid') is not None:
        return {key: first[key] for key in (*_GENERATION, _IMAGES)}
    if work.inception is None:
        return {}
    run, state = open_trained(work.folder(one))
    run = with_data(run)
    tested = run.dataset.subset(run.splits.test)
    options = run.config.evaluate.copy_and_resolve_references()
    options.inception = str(work.inception)
    num = min(options.inception_images, len(tested.labels))
    options.inception_images = min(num, _SMALL_IMAGES) if work.small else num
    made = make_samples(run, state, options.inception_images)
    return distances(options, tested, made)


def _written(number: Compared) -> str:
    if number.ours is None:
        return '–'
    if number.key == 'kid':
        return kid_in_words(number.ours)
    return f'{number.ours:.2%}' if number.key == 'accuracy' else f'{number.ours:.1f}'
