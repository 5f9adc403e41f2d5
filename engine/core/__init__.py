"""Which records raised or lowered a target: targets, backends and estimators."""
