"""How good a model is on clips it has not seen: metrics, their uncertainty, and a comparison with the champion."""

METRICS, ANSWERS, EXAMPLE = "metrics.json", "answers.json", "example.wav"  # files of the stage `evaluation`
WORSE_BY = "worse_than_champion.json"  # of that stage: `bootstrap.Difference.worse_by`, empty without a champion
EXAMPLES = "examples"  # folder of that stage: a test clip of each class, `<number>.wav`
RELIABILITY, RISK_COVERAGE, SHOWCASE = "reliability.png", "risk_coverage.png", "showcase.png"
DECISIONS = "decisions whether a clip has a defect"  # what is counted where classes are not exclusive
