"""Following changes: who watches what (`hub`), and what each watcher still has to be told (`watcher`)."""
