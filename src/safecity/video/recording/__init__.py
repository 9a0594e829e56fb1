"""Recordings: files of fragments, hashed as written; their index, retention and copy in the database."""
