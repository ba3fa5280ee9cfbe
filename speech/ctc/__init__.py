"""The CTC recogniser: model, decoding, stitching of windows."""
