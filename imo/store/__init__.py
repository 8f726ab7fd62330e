"""Features on disk, each computed once."""

from imo.store.features import FeatureStore, identity, view_identity

__all__ = ["FeatureStore", "identity", "view_identity"]
