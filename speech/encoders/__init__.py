"""Pretrained speech encoders, computed cheaply."""
