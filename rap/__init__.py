"""Rays as Pixels: the joint distribution of videos and camera trajectories."""
