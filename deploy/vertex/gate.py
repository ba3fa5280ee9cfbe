"""What the step `validate` may answer; apart from the steps, so that compiling the pipeline needs none of theirs."""

VALID, INVALID = "valid", "invalid"
