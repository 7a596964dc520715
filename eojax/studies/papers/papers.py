"""The papers whose figures and tables can be made, by the numbers that items are asked for."""

from __future__ import annotations

from typing import NamedTuple

from eojax.evaluation.published_results import PAPERS as CLASSIFICATION


class Paper(NamedTuple):
    """A paper.

    Attributes:
      name: short, as in `eojax.evaluation.published_results`.
      citation: in full.
    """

    name: str
    citation: str


PAPERS = {
    '000': Paper('IGARSS 2021', CLASSIFICATION['IGARSS 2021']),
    '001': Paper('TGRS 2022', CLASSIFICATION['TGRS 2022']),
    '002': Paper('thesis 2022', CLASSIFICATION['thesis 2022']),
    '004': Paper(
        'Hussing 2022',
        'M. Hussing, K. Li, E. Eaton. Land use prediction using electro-optical to SAR few-shot'
        ' transfer learning. NeurIPS Workshop on Tackling Climate Change with Machine Learning,'
        ' 2022.',
    ),
}


def published_name(paper: str) -> str:
    """The short name of a paper; the thesis repeats the numbers of its article."""
    return PAPERS['001' if paper == '002' else paper].name
