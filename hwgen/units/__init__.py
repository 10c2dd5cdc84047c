"""The components a user asks for, one module each."""
