"""Operations: dead letters and parked messages, which are kept until an operator replays or discards them."""
