"""Server-side apply: who owns which field (`fieldset`), and merging what is applied into what is there (`merge`)."""
