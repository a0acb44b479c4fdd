"""What `/metrics` tells, as numbers."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families


def values(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Return a metric's values by its labels' values, in the order of the labels' names."""
    return {
        tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }
