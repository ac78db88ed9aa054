"""The crash tests' parts: rig (a world whose service may die), invariants, scenarios, points, rounds, trials, pair."""
