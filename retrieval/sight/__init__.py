"""Seeing: photos decoded, regions detected, photos, crops and sentences embedded."""
