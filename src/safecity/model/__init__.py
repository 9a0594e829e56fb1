"""The words of the system: frozen structs, enums and transition tables. No input or output here."""
