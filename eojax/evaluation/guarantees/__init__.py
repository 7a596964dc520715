"""What a run guarantees: sets of classes, areas, and what it leaves unanswered."""
