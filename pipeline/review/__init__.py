"""The page on which people watch, repair and approve. It knows adapters and records, and never how a clip is made."""
