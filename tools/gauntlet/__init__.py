"""The gauntlet: cases in which a reader of an event store can skip events, repeat them, or be held up."""
