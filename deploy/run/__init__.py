"""The launcher and the parts that it starts and keeps going."""
