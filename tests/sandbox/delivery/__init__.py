"""Tests that share one sandbox with Argo CD: a package, so that it ends when they do."""
