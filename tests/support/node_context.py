"""A node's context for tests: the one that plug-ins test with."""

from anabranch.testing import RecordingContext

__all__ = ["RecordingContext"]
