"""Predicts in three ways: all fields as a list, one by one, and arrays in memory, as from a camera.

python examples/predict_three_ways.py starter examples/fields
"""

from __future__ import annotations

import sys

from hpa_sdk import Failure, Predictor, find_samples, read_planes


def main(model: str, folder: str) -> None:
    """Predict the fields of a folder three times."""
    predictor = Predictor.load(model)

    print("All at once; one field that can't be read raises when the others are done.")
    for prediction in predictor.predict(folder):
        print(" ", prediction.id, sorted(label.hpa_name for label in prediction))

    print("One by one, with bounded memory; a field that fails gives its reason and does not stop the others.")
    for item in predictor.stream(folder):
        outcome = str(item.error) if isinstance(item, Failure) else f"{item.probabilities.max():.3f} at most"
        print(" ", item.id, outcome)

    print("From memory: N fields of red, green, blue and yellow.")
    first = next(iter(find_samples(folder)))
    (prediction,) = predictor.predict_planes(read_planes(first)[None])
    for label, probability in prediction.top(3):
        print(f"  {label.hpa_name:<28} {probability:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
