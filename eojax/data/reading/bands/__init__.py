"""Sentinel-2 scenes whose bands lie in files of their own, of 10, 20 and 60 m."""
