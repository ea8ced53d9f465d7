"""Predicts a folder of fields with Spark into Parquet: python examples/spark_fields.py MODEL FOLDER OUT."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pyspark.sql import Row, SparkSession

from hpa_sdk import Failure, Predictor, Sample, find_samples

COLUMNS = "id string, labels array<string>, probabilities array<float>, error string"


def main(model: str, folder: str, out: str) -> None:
    """Predict every field; one that fails is a row with its reason. Model and fields must be on a shared disk."""

    def answer(samples: Iterator[Sample]) -> Iterator[Row]:
        # One predictor for each partition: sessions can't be sent.
        predictor = Predictor.load(model, device="cpu", threads=1)
        for each in predictor.stream(samples):
            if isinstance(each, Failure):
                yield Row(each.id, None, None, str(each.error))
            else:
                yield Row(each.id, [label.hpa_name for label in each], each.probabilities.tolist(), None)

    spark = SparkSession.builder.appName("hpa").getOrCreate()
    samples = list(find_samples(folder, recursive=True))
    fields = spark.sparkContext.parallelize(samples, max(1, len(samples) // 500))
    spark.createDataFrame(fields.mapPartitions(answer), COLUMNS).write.mode("error").parquet(out)
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
