"""Keeps features on disk, so that each is computed once."""

from imo.store.features import FeatureStore, identity, view_identity

__all__ = ["FeatureStore", "identity", "view_identity"]
