"""What outreach really did: programmes with a control group, conversations, friction (semantics 6.5, 6.9)."""
