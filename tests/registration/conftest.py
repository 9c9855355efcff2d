"""The scans as fixtures, built once."""

from registration_scans import trunk, trunk_later

__all__ = ["trunk", "trunk_later"]
