"""Operations of tracking, one module per noun; each function runs in the caller's transaction."""
