"""Operations: dead letters, parked messages, the event stream, and the state of the system."""
