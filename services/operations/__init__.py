"""Operations: dead letters and parked messages, kept until somebody decides."""
