"""The fleet file: its fields, their bounds, and errors that name a line. It must not know Azure or Prefect."""
