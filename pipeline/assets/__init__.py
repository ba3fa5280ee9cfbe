"""The graph: one asset a stage, each a thin wrapper over the room that does its work."""
