"""The shards of a data set written by Apache Beam, on whatever cluster its runner speaks to.

Flink, Spark, Dataflow and others: Beam's own options say where. All workers need this package, the
data set's files and the folder of the result on storage that they share. A shard is the unit of
work, so that one that fails is tried again by the runner, and what is complete is never made again.
"""

from __future__ import annotations

from collections.abc import Sequence

from eojax.data.shards.write import Job, WriteShard, finish, start
from eojax.errors import UserError


def write_all_with_beam(job: Job, arguments: Sequence[str]) -> None:
    """Writes what is missing by a Beam pipeline, and then the index in this process.

    Args:
      arguments: of Beam, such as `--runner=FlinkRunner`.

    Raises:
      UserError: Beam is not installed; or see `eojax.data.shards.write.start`.
    """
    try:
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError:
        raise UserError(
            '--beam needs pip install apache-beam, in an environment of its own where its versions'
            ' of other packages are in the way'
        ) from None
    missing = start(job)
    if missing:
        with beam.Pipeline(options=PipelineOptions(list(arguments))) as pipeline:
            (
                pipeline
                | 'shards' >> beam.Create(missing)
                | 'spread' >> beam.Reshuffle()
                | 'write' >> beam.Map(WriteShard(job))
            )
    finish(job)
